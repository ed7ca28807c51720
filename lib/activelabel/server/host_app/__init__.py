"""The app's folder for MONAI Label's start command, which needs a folder with a `main.py`."""
