"""Promises about which layer gets how many bits."""
