"""Kernel modules as the kernel's loader sees them: what they need, what they export, who signed them.

The room reads ``.ko`` files, symbol lists of kernels and the RPMs that carry them, and judges as the
loader would. It knows nothing of repositories, solvers or plans.
"""
