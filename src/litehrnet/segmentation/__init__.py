"""What segmenting an image is about, whoever asks: classes, label images, scores, and how good they are; NumPy only."""
