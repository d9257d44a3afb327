"""LoRA adapters of a painter, from folders of captioned pictures."""
