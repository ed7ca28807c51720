"""Images and labels: reading and checking them, and their way to the network's grid and back."""
