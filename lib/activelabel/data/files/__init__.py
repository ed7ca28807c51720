"""Files of images and labels: their names and ids, and opening them within limits."""
