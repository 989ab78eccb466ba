"""Flows that are right, and are not accused."""
