"""Tests of real numbers at the ends."""
