"""The ground every floor stands on: errors, settings, files, the ledger and typed events."""
