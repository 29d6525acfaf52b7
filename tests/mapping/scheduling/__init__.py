"""Tests of :mod:`mapping.scheduling`."""
