"""The C program that simulates a netlist."""
