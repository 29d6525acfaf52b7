"""Tests of the compiled RTL simulator."""
