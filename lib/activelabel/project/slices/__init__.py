"""The slices of a project: along which axis, and what people call them."""
