"""Patients of images: given ones, and those that names tell."""
