"""The labels of images: their structures and values, reading and checking."""
