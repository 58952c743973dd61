"""Which symbols disagree, over which builds: pure functions on model values."""
