"""Promises that every implementation keeps alike."""
