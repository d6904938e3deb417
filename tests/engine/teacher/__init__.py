"""Tests of `engine.teacher`."""
