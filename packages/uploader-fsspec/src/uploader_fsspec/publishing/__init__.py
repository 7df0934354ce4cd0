"""From the files of a release to a folder of a bucket that was compared."""
