"""Images and labels: reading, checking, and transfer to the network's grid and back."""
