"""What a person keeps: the shelf of runs and pictures with their marks, and opinions. Rows of the ledger."""
