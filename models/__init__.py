"""Every language, vision and embedding model: catalogue, fetching, chat backends, structured output, embeddings."""
