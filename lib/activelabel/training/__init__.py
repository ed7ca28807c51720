"""Training: losses, patches, evaluation, and the files of the models that come out of it."""
