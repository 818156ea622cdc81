"""Files, archives, images and downloads."""
