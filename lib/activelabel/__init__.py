"""activelabel: a MONAI Label app that decides what a radiologist should annotate next."""

__version__ = "0.2.0"
