"""Pure event sourcing: events, their envelope, the registry of types, the fold.

Nothing in this package knows what a flow is, waits, reads a clock or does I/O.
"""
