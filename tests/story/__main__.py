"""The whole story on real kernels, booted: ``make story``.

Prints a transcript; ends with 1 where the story does not go as told.
"""

from __future__ import annotations

import io
import sys
import time

from tests.modules.qemu import QemuError
from tests.story.telling import StoryError, tell


def main() -> None:
    """Tell the story; say on stderr how long it took, or where it went wrong."""
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True)
    begin = time.monotonic()
    try:
        tell()
    except (StoryError, QemuError) as error:
        sys.exit(f"the story went wrong: {error}")
    print(f"told in {time.monotonic() - begin:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
