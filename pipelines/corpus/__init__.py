"""Papers to clean passages, each with its source."""
