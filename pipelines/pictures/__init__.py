"""Pictures: FLUX pipelines, adapters, painting, measuring."""
