"""Promises of pages, REST and the command line."""
