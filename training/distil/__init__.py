"""Passages to training rows, asked of a chat model and checked against their passage."""
