"""Small encoders of text and pictures."""
