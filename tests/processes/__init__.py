"""Tests that need several processes: kills, takeovers, one SQLite file for all."""
