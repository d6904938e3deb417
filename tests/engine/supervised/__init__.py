"""Tests of what heads other than causal-lm learn and are measured on."""
