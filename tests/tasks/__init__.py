"""Tests of `tasks`: settings, claims, recording, recovery, the worker and its attempts."""
