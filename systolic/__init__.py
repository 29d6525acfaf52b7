"""Gateware: the generator of bit-level systolic arrays; its contract is :mod:`systolic.spec`."""
