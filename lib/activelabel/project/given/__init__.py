"""What the settings say of images: roles, patients and channels."""
