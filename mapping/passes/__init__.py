"""The mapper's back end, one pass per module, from a graph of nodes to instructions."""
