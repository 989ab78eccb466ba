"""Tests of what people define."""
