"""The Library page: what is kept, found, marked, put away and used again."""
