"""Golden logs: what releases have stored, kept as it was."""
