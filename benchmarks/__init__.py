"""Measurements of the whole product, on each database, from one command.

``uv run python -m benchmarks`` runs them all; ``README.md`` here says what each one measures.
A benchmark is a module with ``measure(place, scale)``: it gets a fresh database and returns
figures by name. Nothing is asserted about time: figures are read by people.
"""
