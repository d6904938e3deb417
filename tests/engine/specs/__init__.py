"""Promises of what can be asked."""
