"""Hardware from somewhere: /sys, a saved list of modaliases, an inventory."""

from __future__ import annotations

import json
from pathlib import Path

from kmpsolve.errors import MetadataError, RequestError
from kmpsolve.machine.sysfs import modaliases_in
from kmpsolve.metadata.rootpath import Root
from kmpsolve.model.modalias import Modaliases

__all__ = ["read_devices"]

_LONGEST = 64 << 20


def read_devices(source: Path) -> Modaliases:
    """Read hardware.

    Parameters
    ----------
    source
        A folder shaped like /sys; a file with one modalias a line, as
        ``find /sys -name modalias -exec cat {} +`` saves it; or an inventory: a JSON object with a list
        ``modaliases``.

    Raises
    ------
    MetadataError
        ``unreadable-devices``: it cannot be read, or is no such thing.
    RequestError
        ``no-devices``: there is none in it.
    """
    devices = Modaliases(modaliases_in(Root.at(source)) if source.is_dir() else _listed(source))
    if not devices:
        raise RequestError(
            "names no device",
            reference="no-devices",
            where=str(source),
            hint="Give /sys, or what this saved: find /sys -name modalias -exec cat {} +",
        )
    return devices


def _listed(source: Path) -> list[str]:
    try:
        with source.open("rb") as stream:
            content = stream.read(_LONGEST)
        text = content.decode("utf-8")
        if text.lstrip().startswith("{"):
            document = json.loads(text.lstrip().splitlines()[0] if "\n{" in text else text)
            listed = document.get("modaliases", [])
            if not isinstance(listed, list):
                raise ValueError("its modaliases are no list")
            return [str(one) for one in listed]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise MetadataError(
            f"cannot be read as a list of devices: {reason}",
            reference="unreadable-devices",
            where=str(source),
            hint="Give /sys, a list of modaliases, or an inventory",
        ) from error
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if ":" in line and not line.startswith("#")]
