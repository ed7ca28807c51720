"""The pages of `docs/reference/`, each made of what the code says of itself."""
