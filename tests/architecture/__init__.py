"""Promises about the shape of the whole: imports, weight, sizes, rooms."""
