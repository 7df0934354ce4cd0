"""From files to a commit that is verified."""
