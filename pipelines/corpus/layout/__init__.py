"""How a page of a PDF is laid out: its letters and their places in, paragraphs and headings in reading order out."""
