"""What merging base and adapter computes: a header for each kernel, the same in numpy beside it."""
