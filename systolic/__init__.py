"""Gateware: the generator of bit-level systolic arrays, and (in :mod:`systolic.spec`) its contract."""
