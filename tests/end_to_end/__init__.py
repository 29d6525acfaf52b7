"""Whole programs and networks through every executor."""
