"""An inventory of a fleet on the kernels and KMPs of a world, the same for the same seed."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.data import Shape, ready

__all__ = ["inventory"]

_STATES = 280


def inventory(shape: Shape, hosts: int) -> Path:
    """One line a host; hosts fall into about 280 states.

    A KMP comes with those whose symbols it requires: rpm installs it on no host without them.
    """
    world = ready(shape)
    path = world / f"fleet-{hosts}.jsonl"
    if path.is_file():
        return path
    packages = json.loads((world / "installed.json").read_text())
    names = [f"{p['name']}-{p['version']}-{p['release']}.{p['arch']}" for p in packages]
    kernels = [name for name in names if name.startswith("kernel-default-6")]
    kmps = [name for name in names if "-kmp-default-" in name]
    required = _required_kmps(dict(zip(names, packages, strict=True)), kmps)
    rnd = random.Random(shape.seed)  # noqa: S311 (the same fleet for the same seed)
    states = []
    for _ in range(_STATES):
        chosen = rnd.sample(kmps, rnd.randint(0, min(6, len(kmps))))
        closed = sorted({one for kmp in chosen for one in (kmp, *required[kmp])})
        states.append(json.dumps({"arch": "x86_64", "kernels": kernels, "kmps": closed}))
    draft = path.with_suffix(".draft")
    with draft.open("w") as file:
        for number in range(hosts):
            file.write(
                f'{{"schema_version": 1, "host": "host{number:07}.example.com", "collected": 1700000000, '
                f'"labels": {{"env": "prod"}}, "state": {states[rnd.randrange(_STATES)]}}}\n'
            )
    draft.rename(path)
    return path


def _required_kmps(packages: Mapping[str, Mapping[str, Any]], kmps: Sequence[str]) -> dict[str, set[str]]:
    """Of each KMP those with a symbol that it requires; in these worlds they require no others themselves."""
    exporting = {
        symbol: kmp for kmp in kmps for symbol in packages[kmp]["provides"] if symbol.startswith("ksym(")
    }
    return {
        kmp: {exporting[symbol] for symbol in packages[kmp]["requires"] if symbol in exporting}
        for kmp in kmps
    }
