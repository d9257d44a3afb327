"""Papers to measured model variants, and the embedded painter with its procedural microstructures."""
