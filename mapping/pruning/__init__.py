"""Exact pruning: channels that no result depends on are removed before anything is mapped."""
