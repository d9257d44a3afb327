"""What a person changes of the settings: the home's own file, edited in place, and keys that are kept in the home."""
