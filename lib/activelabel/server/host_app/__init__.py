"""The app's folder as MONAI Label's start command wants one: a folder with a `main.py`."""
