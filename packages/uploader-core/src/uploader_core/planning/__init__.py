"""From a request to a plan; nothing is written."""
