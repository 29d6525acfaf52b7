"""The chip: its database, the bits of a bitstream, and the routing they make."""
