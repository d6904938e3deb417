"""Tests of `app.components`."""
