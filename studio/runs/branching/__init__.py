"""A run branched: its steps, what may be edited, the new run that goes on from one of them, and all its family."""
