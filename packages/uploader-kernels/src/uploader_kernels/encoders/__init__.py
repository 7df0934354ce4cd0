"""What each encoder computes: in C for the processor, and in numpy to be read and compared."""
