"""Labels that come back: the slices that they cover, and the archive of all versions."""
