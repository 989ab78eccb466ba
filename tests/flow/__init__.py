"""The rules of flows, without a store: facts go in by hand, in any order."""
