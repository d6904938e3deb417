"""Promises of what is told before launch."""
