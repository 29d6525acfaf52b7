"""The contract: configuration, instruction set, registers, exact arithmetic. No Amaranth here."""
