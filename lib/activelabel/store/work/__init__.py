"""What workers do: which images are left for them, and which are claimed."""
