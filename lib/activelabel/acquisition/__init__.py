"""What to ask next: pure functions from repeated predictions to voxel maps, to numbers, to queries."""
