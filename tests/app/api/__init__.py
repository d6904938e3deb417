"""Tests of `app.api`."""
