"""The routes: checked before the host sees them, answered in one line."""
