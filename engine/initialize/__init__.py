"""engine/initialize."""
