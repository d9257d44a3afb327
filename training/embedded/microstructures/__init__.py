"""Captioned pictures of bio-inspired microstructures, drawn from numbers."""
