"""The contract: configuration, instruction set, registers, exact arithmetic. No Amaranth in here."""
