"""How far a quantised file is from the model that it was made of."""
