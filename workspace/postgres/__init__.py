"""PostgreSQL as the ledger that several machines share: its address, a connection, leases on jobs, checkpoints."""
