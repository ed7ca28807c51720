"""Many rows at once: a first start may register a million images."""
