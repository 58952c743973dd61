"""Modules compiled against real kernel headers, judged by depmod and by real kernels."""
