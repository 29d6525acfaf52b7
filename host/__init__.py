"""The driver: lines to devices, the packet protocol, and programs that run on them.

``Device`` (:mod:`host.device`) is an accelerator at the end of a line; ``Runtime``
(:mod:`host.runtime`) is a program loaded into one, through which streams of inputs pass.
"""
