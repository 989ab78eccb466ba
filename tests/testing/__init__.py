"""Tests of what Runfold ships for tests."""
