"""One design run: asked for, checked, executed, read back, made again, reported."""
