"""``python -m kmpsolve``."""

from __future__ import annotations

import sys

from kmpsolve.cli import main

sys.exit(main())
