"""What makes an image, and what starts in a container of it."""
