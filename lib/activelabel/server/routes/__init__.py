"""The routes: they check requests before the host's code runs, and answer errors with one line."""
