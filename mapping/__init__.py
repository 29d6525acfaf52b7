"""The mapper: from a quantized network, a graph of typed nodes, to a program for the array."""
