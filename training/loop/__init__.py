"""What every training loop of our own models shares."""
