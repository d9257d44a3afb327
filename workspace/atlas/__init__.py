"""The atlas of biological materials: its entries, and which of them a name means."""
