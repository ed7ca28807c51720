"""What of the recipe and of the settings is in force: the recipe with its changes, thresholds, the precision used."""
