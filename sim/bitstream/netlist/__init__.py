"""The netlist: what a bitstream configures, as logic, memories, multipliers, clocks and pads."""
