"""Simulated boards: the device's end of the packet protocol, and lines to it.

``device`` is a device in pure Python, ``rtl`` the compiled gateware; ``transport`` makes them lines
within this process (``sim://``), ``server`` offers them to other programs (``systolic serve``);
``faults`` damages what passes.
"""
