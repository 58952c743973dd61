"""An inventory of a fleet on the kernels and KMPs of a world, the same for the same seed."""

from __future__ import annotations

import json
import random
from pathlib import Path

from benchmarks.data import Shape, ready

__all__ = ["inventory"]

_STATES = 280


def inventory(shape: Shape, hosts: int) -> Path:
    """One line a host; hosts fall into about 280 states."""
    world = ready(shape)
    path = world / f"hosts-{hosts}.jsonl"
    if path.is_file():
        return path
    packages = json.loads((world / "installed.json").read_text())
    names = [f"{p['name']}-{p['version']}-{p['release']}.{p['arch']}" for p in packages]
    kernels = [name for name in names if name.startswith("kernel-default-6")]
    kmps = [name for name in names if "-kmp-default-" in name]
    rnd = random.Random(shape.seed)  # noqa: S311 (the same fleet for the same seed)
    states = []
    for _ in range(_STATES):
        chosen = sorted(rnd.sample(kmps, rnd.randint(0, min(6, len(kmps)))))
        states.append(json.dumps({"arch": "x86_64", "kernels": kernels, "kmps": chosen}))
    draft = path.with_suffix(".draft")
    with draft.open("w") as file:
        for number in range(hosts):
            file.write(
                f'{{"schema_version": 1, "host": "host{number:07}.example.com", "collected": 1700000000, '
                f'"labels": {{"env": "prod"}}, "state": {states[rnd.randrange(_STATES)]}}}\n'
            )
    draft.rename(path)
    return path
