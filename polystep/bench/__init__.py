"""The harness: runs an optimiser on a task under a ledger, keeps records, and turns records into tables and figures."""
