"""Makes the embedded painter: reader, transformer, and the folder that FluxPipeline loads."""
