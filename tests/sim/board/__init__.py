"""Tests of simulated boards."""
