"""The MONAI Label side: routes, datastores, tasks and trainings. No other package uses MONAI Label's API."""
