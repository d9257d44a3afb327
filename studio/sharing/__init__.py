"""Sharing a Studio: who may use its page and its API, their sessions, and runs handed out as files."""
