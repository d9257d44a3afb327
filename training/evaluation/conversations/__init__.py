"""The fixed conversations that every variant has, and judges of them."""
