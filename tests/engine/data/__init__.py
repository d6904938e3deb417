"""Promises of text becoming windows."""
