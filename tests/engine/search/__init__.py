"""Tests of `engine.search`."""
