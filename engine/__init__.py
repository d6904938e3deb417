"""The engine: everything PyTorch, and nothing of stores, queues or pages."""
