"""Simulators: programs run by the meaning of their instructions, by the cycle model, by the gates."""
