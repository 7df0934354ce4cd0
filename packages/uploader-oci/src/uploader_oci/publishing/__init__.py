"""From the files of a release to tags that were read back."""
