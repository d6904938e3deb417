"""engine/quant."""
