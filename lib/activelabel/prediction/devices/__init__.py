"""How a network runs on its device: layout in memory, floating-point type, the measurement that chooses them."""
