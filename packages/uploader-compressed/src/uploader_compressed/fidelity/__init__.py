"""How far a compressed model is from base and adapter, computed as servers compute."""
