"""Promises of results written for other programs."""
