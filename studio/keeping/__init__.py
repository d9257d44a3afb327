"""What is kept of what was made: the shelf of runs and pictures, marks, the bin, opinions, recipes."""
