"""Waveforms of a compiled model, in the value change dump format."""

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from vcd import VCDWriter

from sim.compiled.rtl.design import Output

__all__ = ["Trace"]


class Trace:
    """Context in which the values of ports are recorded; the file appears whole at its end.

    Parameters
    ----------
    path : Path
        File to write.
    ports : list of Output
        What each sample holds, in order; dots in names become scopes.
    attach : callable
        Called with the trace when it starts, and with None when it ends.
    """

    def __init__(
        self, path: Path, ports: list[Output], attach: Callable[["Trace | None"], None]
    ) -> None:
        self._path = path
        self._ports = ports
        self._attach = attach

    def __enter__(self) -> None:
        handle, name = tempfile.mkstemp(suffix=".vcd", dir=self._path.parent)
        self._work = Path(name)
        self._file = os.fdopen(handle, "w", encoding="utf-8")
        self._writer: Any = VCDWriter(
            self._file, timescale="1 ns", comment="one clock cycle per ns"
        )
        self._variables: list[Any] = []
        for port in self._ports:
            scope, _, name = f"top.{port.name}".rpartition(".")
            variable = self._writer.register_var(scope, name, "wire", size=max(1, port.width))
            self._variables.append(variable)
        self._last = 0
        self._attach(self)

    def sample(self, cycle: int, values: Callable[[], Iterable[int]]) -> None:
        """Record the values before the clock edge that ends `cycle`."""
        for variable, value in zip(self._variables, values(), strict=True):
            self._writer.change(variable, cycle, value)
        self._last = cycle + 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._attach(None)
        self._writer.close(self._last)
        self._file.close()
        os.replace(self._work, self._path)
