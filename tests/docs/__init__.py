"""The documentation, under test."""
