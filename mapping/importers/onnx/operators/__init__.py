"""Importers of nodes, by what becomes of them on the array."""
