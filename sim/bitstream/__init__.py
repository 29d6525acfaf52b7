"""From a packed bitstream back to a simulation at its pins."""
