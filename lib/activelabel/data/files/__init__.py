"""Files as people have them: what is an image, under which name, opened with limits."""
