"""Tests of `app.forms`."""
