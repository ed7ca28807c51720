"""The choice of the next query: pure functions from repeated predictions to voxel maps, to numbers, to queries."""
