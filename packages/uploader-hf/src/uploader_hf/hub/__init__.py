"""The Hub's client: requests, patience, limits, what is there."""
