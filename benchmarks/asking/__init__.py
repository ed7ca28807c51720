"""Which volumes and slices the strategies ask for."""
