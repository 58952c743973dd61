"""Reports as one self-contained page: nothing is loaded, nothing from metadata can act."""
