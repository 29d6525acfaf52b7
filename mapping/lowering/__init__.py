"""From a graph of nodes to layers of one form: fuse, lower, prove that nothing overflows."""
