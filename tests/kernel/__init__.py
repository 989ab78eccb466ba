"""Events, registry and upcasting."""
