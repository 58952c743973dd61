"""A system's disk as the planner asks it: modules that no package owns, and what is compiled on the host."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from kmpsolve.errors import MetadataError
from kmpsolve.machine.dkms import DkmsPackage, has_compiler, read_dkms, warn_of_rebuild
from kmpsolve.machine.precedence import Precedence, read_precedence
from kmpsolve.metadata.rootpath import Root
from kmpsolve.model.needs import flavor_of_uname
from kmpsolve.model.plan import Unmanaged, Warned

if TYPE_CHECKING:  # reading modules takes imports that a plan without such modules does not need
    from kmpsolve.machine.tree import ModuleFile

__all__ = ["SystemDisk"]


class SystemDisk:
    """What the planner wants to know of a system's disk.

    Parameters
    ----------
    module_files
        NEVRA -> the modules it owns; ``None`` if nobody knows: then nothing can be said to be unmanaged.
    """

    def __init__(self, root: Root, module_files: Mapping[str, tuple[str, ...]] | None) -> None:
        self.root = root
        self._module_files = module_files

    @cached_property
    def _unmanaged(self) -> tuple[ModuleFile, ...]:
        if self._module_files is None:
            return ()
        from kmpsolve.machine.installed import Owners
        from kmpsolve.machine.tree import read_trees
        from kmpsolve.machine.unmanaged import find_unmanaged

        trees = read_trees(self.root)
        owners = Owners(trees, self._module_files)
        return tuple(file for tree in trees.trees for file in find_unmanaged(trees, owners, tree))

    def unmanaged(
        self, flavor: str, uname_r: str, nevra: str, provides: Callable[[], Iterable[str]]
    ) -> tuple[Unmanaged, ...]:
        """The modules of a flavor that no package owns, judged against a kernel from its metadata alone.

        Parameters
        ----------
        provides
            Gives the capabilities of the kernel and the KMPs that will be there; asked only if it is needed.

        Raises
        ------
        MetadataError
            ``modules-unreadable``, if /lib/modules cannot be listed.
        """
        files = [file for file in self._unmanaged if flavor_of_uname(file.uname_r) in ("", flavor)]
        if not files:
            return ()
        from kmpsolve.machine.unmanaged import judge_unmanaged
        from kmpsolve.modules.kernel import kernel_from_capabilities

        kernel = kernel_from_capabilities(provides(), source=nevra, uname_r=uname_r, nevra=nevra)
        return judge_unmanaged(self.root, files, kernel)

    @cached_property
    def dkms(self) -> tuple[DkmsPackage, ...]:
        """The sources registered with DKMS."""
        return read_dkms(self.root)

    @cached_property
    def compiler(self) -> bool:
        """Whether there is a compiler."""
        return has_compiler(self.root)

    def rebuilds(
        self, kmps: Iterable[str], uname_r: str, arch: str, missing_headers: Iterable[str]
    ) -> tuple[Warned, ...]:
        """What keeps DKMS sources, and `kmps` that rebuild themselves, from being built for a kernel.

        Parameters
        ----------
        missing_headers
            Packages with the kernel's headers that are neither installed nor in the transaction.
        """
        missing = tuple(missing_headers)
        warnings: set[Warned] = set()
        for package in self.dkms:
            warnings.update(
                warn_of_rebuild(
                    f"DKMS {package}",
                    missing_headers=missing,
                    compiler=self.compiler,
                    excluded=package.excludes(uname_r, arch),
                    kernel=uname_r,
                )
            )
        for name in kmps:
            warnings.update(
                warn_of_rebuild(name, missing_headers=missing, compiler=self.compiler, kernel=uname_r)
            )
        return tuple(sorted(warnings))

    def parts(
        self, builds: Iterable[str], uname_r: str, nevra: str, provides: Callable[[], Iterable[str]]
    ) -> Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """Of installed builds that do not fit a kernel, which modules would load there and which would not.

        Builds whose modules cannot be read, or share one fate, are left out.

        Parameters
        ----------
        provides
            As for `unmanaged`.
        """
        known = self._module_files or {}
        several = [build for build in builds if len(known.get(build, ())) > 1]
        if not several:
            return {}
        from kmpsolve.machine.kernels import read_module_file
        from kmpsolve.modules.kernel import kernel_from_capabilities
        from kmpsolve.modules.loader import judge_together

        kernel = kernel_from_capabilities(provides(), source=nevra, uname_r=uname_r, nevra=nevra)
        found = {}
        for build in several:
            try:
                modules = [read_module_file(self.root, path) for path in known[build]]
            except MetadataError:
                continue
            verdicts = {j.module.name: j.verdict for j in judge_together(modules, kernel)}
            loads, refused = (
                tuple(sorted(name for name, verdict in verdicts.items() if verdict == fate))
                for fate in ("safe", "blocked")
            )
            if loads and refused:
                found[build] = (loads, refused)
        return found

    @cached_property
    def _precedence(self) -> Precedence:
        return read_precedence(self.root)

    def overruled(self, build: str, modules: Iterable[str], uname_r: str, *, native: bool) -> tuple[str, ...]:
        """Of a build's modules that a kernel ships too, those that it would take from itself.

        That is so where depmod.d prefers the kernel's own folder.

        Parameters
        ----------
        modules
            File names.
        native
            Whether the build lies below this kernel's own folder; else links in weak-updates/ lead to it.
        """
        folders = {
            path.rpartition("/")[2]: path.partition("/modules/")[2].split("/")[1]
            for path in (self._module_files or {}).get(build, ())
        }
        return tuple(
            name
            for name in sorted(modules)
            if self._precedence.prefers_kernel(
                name, ("" if native else "weak-updates/") + folders.get(name, "updates"), uname_r
            )
        )
