"""From layers to instructions: where tensors lie, how they are tiled, in which order they run."""
