"""Sources on the Hub."""
