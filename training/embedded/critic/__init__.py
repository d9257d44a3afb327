"""Makes the embedded critic: its eyes, its words, and the judge that measures pictures."""
