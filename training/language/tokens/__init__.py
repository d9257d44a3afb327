"""Rows to tokens and labels: what is trained is what inference renders."""
