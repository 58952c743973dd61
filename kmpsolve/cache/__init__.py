"""Caches of kmpsolve's own: may be deleted at any time, and no verdict depends on them."""
