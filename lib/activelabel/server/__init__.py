"""What speaks MONAI Label: its routes, datastores, tasks and trainings; nothing else may."""
