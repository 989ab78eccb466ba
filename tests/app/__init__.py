"""The facade: what it refuses, and the ways in which it can be entered."""
