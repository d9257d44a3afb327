"""The commands about what a person keeps: marks, the bin, opinions."""
