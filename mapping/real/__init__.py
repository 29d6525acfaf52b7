"""Real numbers at the ends of a network: float32 arithmetic of the host and the importers."""
