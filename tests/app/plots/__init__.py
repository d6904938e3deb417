"""Tests of `app.plots`."""
