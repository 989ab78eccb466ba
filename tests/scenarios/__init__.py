"""What must be true of flows and jobs, on every store."""
