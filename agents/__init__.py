"""The design team: documents, programs, roles and the graph that joins them."""
