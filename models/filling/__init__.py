"""Pydantic documents written leaf by leaf by a local model."""
