"""Tests of `app.tables`."""
