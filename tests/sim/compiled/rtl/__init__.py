"""Tests of what happens between the netlist and the C."""
