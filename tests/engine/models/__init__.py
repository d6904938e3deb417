"""Promises of loading models and reading their shapes."""
