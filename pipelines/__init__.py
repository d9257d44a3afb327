"""Pictures: FLUX with its LoRA adapters, and what a picture was made from. Never knows why one is wanted."""
