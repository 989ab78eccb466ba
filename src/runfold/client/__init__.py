"""What a caller holds: runs, listings, the blocking client; over one process's ``Node``."""
