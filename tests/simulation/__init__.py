"""The simulation, and the engine under it."""
