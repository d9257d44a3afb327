"""A batch on a Ray cluster: workers run the designs' graphs, painters paint, and the driver keeps whatever was made."""
