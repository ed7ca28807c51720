"""Which case is asked for next: one file a method, volumes and slices alike."""
