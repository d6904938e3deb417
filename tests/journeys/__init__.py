"""A person's story from end to end: a real browser, real servers, a real worker, a real model."""
