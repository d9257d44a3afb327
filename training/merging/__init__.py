"""Two variants into one."""
