"""Emission of C from a scheduled design."""
