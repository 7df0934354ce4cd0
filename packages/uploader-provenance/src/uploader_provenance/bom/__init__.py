"""Bills of materials: what a release was made of, for programs that look for it."""
