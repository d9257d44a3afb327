"""A library of passages: kept, indexed by words and by meaning, and searched."""
