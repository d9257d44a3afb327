"""Gradients of t over depth that are searched for: on one part of a benchmark, and measured on the other."""
