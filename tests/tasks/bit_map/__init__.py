"""Tests of maps that people edit."""
