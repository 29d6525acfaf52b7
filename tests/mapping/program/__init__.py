"""Tests of :mod:`mapping.program`."""
