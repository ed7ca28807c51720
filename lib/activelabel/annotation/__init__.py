"""A label comes back: which slices it covers, and every version of it."""
