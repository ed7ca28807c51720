"""The models of a project: publishing, choosing and loading them."""
