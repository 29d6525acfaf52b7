"""Boards and bitstreams: from gateware to a placed and routed design, and what it takes."""
