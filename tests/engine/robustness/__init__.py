"""Tests of the attack on classifiers."""
