"""Figures of a report, a file a few of one kind: plain numbers in, PNG, SVG and CSV out."""
