"""Promises about the stages of a run."""
