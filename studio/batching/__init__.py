"""Many briefs: read from files and grids, kept, made many at a time, told one by one."""
