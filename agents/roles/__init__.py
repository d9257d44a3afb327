"""The roles, one file each: what each is asked, and what becomes of its answer."""
