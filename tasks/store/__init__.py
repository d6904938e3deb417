"""tasks/store."""
