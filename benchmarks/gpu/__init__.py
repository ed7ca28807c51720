"""What a GPU makes of the networks, of scoring and of training: `run` measures, the others are its parts."""
