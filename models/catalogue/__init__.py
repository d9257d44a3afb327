"""Which models there are, where they lie, how they are fetched and verified."""
