"""Hostile input, root, and faults."""
