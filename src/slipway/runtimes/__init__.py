"""What a model is trained and served in: the images."""
