"""Lists of papers as reference managers and databases write them, and which paper is which."""
