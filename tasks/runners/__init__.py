"""tasks/runners."""
