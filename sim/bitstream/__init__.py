"""From a packed bitstream back to a simulation at its pins.

The steps: `chip.image` unpacks it, `chip.routing` finds which wire drives which,
`netlist.extract` makes cells of what drives the output pins and `netlist.audit` asks that every
other bit is known, `netlist.fold` orders and reduces that, `c.codegen` writes a C program,
`simulator` runs it; `uart` puts a serial line at two pins and `transport` makes that a line of the
host's driver.

All knowledge of the chip is the database that comes with nextpnr (project IceStorm's). Simulated
are logic cells in all their modes, block RAM, single-port RAM, multipliers, pads with and without
registers, global networks, and one clock: of a pin, a PLL or the oscillator. Refused by name are
several clocks, clocks made by logic, double data rate, latched pads, power-saving inputs, hard I2C
and SPI, and every bit whose meaning is not known. Time does not exist within a cycle: whether
signals arrive in time is for nextpnr's timing analysis to say.
"""
