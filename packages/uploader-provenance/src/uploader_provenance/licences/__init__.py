"""What the licences of base models allow to be done with what is made of them."""
