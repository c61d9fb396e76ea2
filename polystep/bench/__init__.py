"""The harness: runs an optimiser on a task under a ledger, resumes it, keeps its record, and plans and launches many runs."""
