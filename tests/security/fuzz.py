"""``python -m tests.security.fuzz NAME [libFuzzer's options] FOLDER...``: bytes that make a parser fail, looked for by
coverage. The corpus to start from is ``tests/security/corpus/NAME``.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["kmpsolve"], enable_loader_override=False):
    from tests.security import parsers

if __name__ == "__main__":
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, lambda data: parsers.feed(name, data))
    atheris.Fuzz()
