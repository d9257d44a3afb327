"""The ground every floor stands on: errors, settings, files, the ledger and typed events."""

from workspace.remarks import drop_idle_remarks

drop_idle_remarks()
