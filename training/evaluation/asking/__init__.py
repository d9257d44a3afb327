"""A benchmark: its questions, how they are put to a model, and what it answers."""
