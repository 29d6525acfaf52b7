"""Simulators: programs run by the instructions' meaning, by the cycle model, by the gates."""
