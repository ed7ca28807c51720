"""Everything that speaks MONAI Label: the app's tasks, routes, datastores and autopilot."""
