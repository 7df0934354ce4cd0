"""llama.cpp's converter and library, as this package drives them."""
