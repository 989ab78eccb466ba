"""Tests of the pure layer of read models."""
