"""Makes the embedded writer: rows in the shapes the roles ask, and an adapter trained on them."""
