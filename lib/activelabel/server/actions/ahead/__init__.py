"""What the server does while annotators draw, so that their next case is there when they ask for it."""
