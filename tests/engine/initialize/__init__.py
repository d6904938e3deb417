"""Tests of `engine.initialize`."""
