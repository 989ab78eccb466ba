"""The moving parts, one turn at a time."""
