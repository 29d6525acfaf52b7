"""Find a C compiler, build shared objects, and keep what was built.

The cache is addressed by content: the key is a digest of everything that determines the result. An
entry is a folder that appears by one rename, so that concurrent builders cannot see or make half
of one; its files are listed with their digests, and an entry that does not match is built again.
"""

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import platformdirs

__all__ = ["Cache", "Compiler", "CompilerError", "default_cache", "digest", "find_compiler"]


class CompilerError(RuntimeError):
    """There is no C compiler, or it failed."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler.

    Attributes
    ----------
    command : tuple of str
        How it is started.
    flags : tuple of str
        Options that make it build for this machine.
    """

    command: tuple[str, ...]
    flags: tuple[str, ...]

    @property
    def identity(self) -> str:
        """Text that changes when the compiler, its options or the processor change."""
        return "\n".join((_version(self.command), *self.flags, _processor()))

    def build(self, source: Path, target: Path, optimise: str) -> None:
        """Compile `source` to the shared object `target`.

        Raises
        ------
        CompilerError
            If the compiler fails; the message holds its first line.
        """
        command = [*self.command, *self.flags, optimise, "-shared", "-fPIC", "-std=gnu11"]
        command += ["-fvisibility=hidden", "-fwrapv", "-w", "-o", str(target), str(source)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            lines = result.stderr.strip().splitlines()
            text = next((line for line in lines if "error" in line), "without a message")
            raise CompilerError(f"{' '.join(self.command)} failed: {text}")


@cache
def _version(command: tuple[str, ...]) -> str:
    if command[0] == sys.executable:
        return f"zig {version('ziglang')}"
    path = Path(shutil.which(command[0]) or command[0]).resolve()
    stat = path.stat()
    return f"{path} {stat.st_size} {stat.st_mtime_ns}"


@cache
def _processor() -> str:
    """Return what tells processors apart: code for one may not run on another."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(
        sorted({line for line in lines if line.startswith(("flags", "model name", "Features"))})
    )


def find_compiler(name: str | None = None) -> Compiler:
    """Return a C compiler: ``cc``, ``gcc`` or ``clang`` on PATH, else zig from PyPI.

    Parameters
    ----------
    name : str, optional
        One of these, or ``zig``, to have that one and no other.

    Raises
    ------
    CompilerError
        If there is none.
    """
    for each in ("cc", "gcc", "clang") if name is None else (name,):
        if each != "zig" and shutil.which(each):
            return Compiler((each,), ("-march=native", "-lm"))
    if name in (None, "zig") and importlib.util.find_spec("ziglang") is not None:
        return Compiler((sys.executable, "-m", "ziglang", "cc"), ("-march=native",))
    wanted = name or "cc, gcc or clang"
    raise CompilerError(
        f"no C compiler ({wanted}) was found: install one, or the Python package ziglang"
    )


def digest(*parts: str | bytes) -> str:
    """Return a digest of the parts, which cannot be confused by moving text between them."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()


@dataclass(frozen=True)
class Cache:
    """Folders of files, each under the digest of what they were made from."""

    root: Path

    def _valid(self, folder: Path) -> bool:
        try:
            listing = json.loads((folder / "listing.json").read_text(encoding="utf-8"))
            return all(
                digest((folder / name).read_bytes()) == value for name, value in listing.items()
            )
        except (OSError, ValueError, AttributeError):
            return False

    def get(self, key: str, make: Callable[[Path], Mapping[str, bytes] | None]) -> Path:
        """Return the folder of `key`, made by `make` if it is not there or is damaged.

        Parameters
        ----------
        key : str
            From `digest`.
        make : callable
            Fills the empty folder it is given.
        """
        folder = self.root / key
        if self._valid(folder):
            return folder
        self.root.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix="build-", dir=self.root))
        try:
            make(work)
            listing = {each.name: digest(each.read_bytes()) for each in sorted(work.iterdir())}
            (work / "listing.json").write_text(json.dumps(listing), encoding="utf-8")
            return self._publish(work, folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _publish(self, work: Path, folder: Path) -> Path:
        for _ in range(3):
            try:
                os.rename(work, folder)
                return folder
            except OSError:
                # Someone else was faster, or what is there is damaged.
                if self._valid(folder):
                    return folder
                damaged = Path(tempfile.mkdtemp(prefix="damaged-", dir=self.root))
                try:
                    os.rename(folder, damaged / "entry")
                except FileNotFoundError:
                    pass
                shutil.rmtree(damaged, ignore_errors=True)
        raise CompilerError(f"cannot write to the cache folder {self.root}")


def default_cache() -> Cache:
    """Return the cache of this user."""
    return Cache(Path(platformdirs.user_cache_dir("systolic")) / "compiled")
