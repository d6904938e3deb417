"""Tests of `engine.layer_maps`."""
