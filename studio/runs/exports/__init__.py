"""A run as one file for people: what such a file says, as a page of HTML and as a PDF."""
