"""Promises about how much the rounding of each layer matters."""
