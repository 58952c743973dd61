"""Which vendors are one vendor to zypp: the solver replaces a package only by one of an equivalent vendor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kmpsolve.metadata.inifile import IniSyntaxError, entries
from kmpsolve.metadata.rootpath import Root

__all__ = ["VendorClasses", "read_vendor_classes"]


def _built_in() -> dict[str, int]:
    return {"suse": 1}


@dataclass(frozen=True, slots=True)
class VendorClasses:
    """zypp's vendor equivalence (libzypp's VendorAttr).

    Case does not count. A class is a set of prefixes, ``suse`` being the only one built in; the longest
    prefix decides. Vendors that begin with ``opensuse`` are taken by their whole name, never by a prefix, so
    that openSUSE's projects do not become one vendor. Without a class, a vendor is equivalent to itself only.
    """

    _class_of: dict[str, int] = field(default_factory=_built_in)

    @classmethod
    def of(cls, lists: Iterable[Iterable[str]]) -> VendorClasses:
        """Add lists of vendors that count as equivalent, such as vendors.d holds, to what is built in.

        A list that names a vendor of a class extends this class; naming several, it joins them.
        """
        class_of = _built_in()
        for number, names in enumerate(lists, 2):
            wanted = {name.lower() for name in names if name}
            known = [class_of[name] for name in sorted(wanted) if name in class_of]
            target = known[0] if known else number
            for name, current in class_of.items():
                if current in known:
                    class_of[name] = target
            class_of.update(dict.fromkeys(wanted, target))
        return cls(class_of)

    def canonical(self, vendor: str) -> str:
        """Name a vendor's class: equal names mean equivalent vendors."""
        lower = vendor.lower()
        number: int | None
        if lower.startswith("opensuse"):
            number = self._class_of.get(lower)
        else:
            prefix = max((name for name in self._class_of if lower.startswith(name)), key=len, default=None)
            number = None if prefix is None else self._class_of[prefix]
        if number is None:
            return lower
        # A NUL keeps a class's name apart from that of a vendor.
        return "\0" + min(name for name, one in self._class_of.items() if one == number)

    def equivalent(self, a: str, b: str) -> bool:
        """Tell whether the solver may replace a package of vendor `a` by one of vendor `b`."""
        return self.canonical(a) == self.canonical(b)


def read_vendor_classes(root: Root, folder: str) -> VendorClasses:
    """Read vendors.d: each file's ``vendors = A,B`` in ``[main]`` is one list of equivalent vendors.

    A file that is malformed before that line adds nothing: fewer equivalences are the cautious side.
    """
    lists = []
    for name in root.names(folder):
        words: list[str] = []
        try:
            for entry in entries(root.read(f"{folder}/{name}") or ""):
                if entry.section == "main" and entry.key == "vendors" and entry.value is not None:
                    words = [word.strip() for word in entry.value.split(",")]
                elif entry.key is None and entry.value is not None:
                    raise IniSyntaxError(entry.line)
        except IniSyntaxError:
            continue
        lists.append(words)
    return VendorClasses.of(lists)
