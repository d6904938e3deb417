"""Tests of `engine.evaluation`."""
