"""A folder in a bucket or other storage: listing, reading, writing, proving."""
