"""Commands about settings, servers and keys."""
