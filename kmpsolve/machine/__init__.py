"""The machine and its disk: /lib/modules, initrds, /proc and /sys, hardware, what no package owns.

The room only reads. A system that is mounted somewhere is looked at below its root, and no link leads out
of it; what only a running system can tell (what is loaded, what drives the root disk) is asked of this
machine alone, never of a foreign root.
"""
