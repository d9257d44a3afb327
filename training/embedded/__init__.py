"""Makes the weights that ship: microstructures, painter, writer, critic. Nothing in the product imports it."""
