"""Models behind a server: which engines there are, what they read, and the processes that serve."""
