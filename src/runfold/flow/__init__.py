"""The pure rules of flows: definition and graph, the run aggregate, retry, limits."""
