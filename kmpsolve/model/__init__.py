"""Nouns: what kernels, KMPs and symbols are, without any file, solver or judgement."""
