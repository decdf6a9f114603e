"""One file per step of a row: read, template, encode, split; beside them ledger, store, show and prepare."""
