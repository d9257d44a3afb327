"""The terminal: commands, and how what comes back is shown on one console."""
