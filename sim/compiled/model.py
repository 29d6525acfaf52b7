"""A compiled design as a Python object: ports, clock cycles, byte streams, memories.

The state of a model is a buffer of its own, so that any number of models of one design can run
side by side. One call from Python costs about a microsecond: for speed, do many cycles per call
with `CompiledModel.step`, `CompiledModel.run_vectors` or `CompiledModel.exchange`.
"""

import ctypes
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.compiled.build import Interface
from sim.compiled.library import Column, Exchange, column, load_library
from sim.compiled.memory_view import MemoryView
from sim.compiled.ports import WORD_BITS, check_value, from_words, port_words, to_words
from sim.compiled.rtl.design import Output
from sim.compiled.trace import Trace

__all__ = ["CompiledModel", "SimulationTimeout"]


class SimulationTimeout(TimeoutError):  # noqa: N818 - like the exception it extends
    """An exchange did not finish in the cycles it was given.

    Attributes
    ----------
    received : bytes
        What had come out.
    sent : int
        Bytes that had been taken.
    cycles : int
        Cycles that had passed.
    """

    def __init__(self, received: bytes, wanted: int, sent: int, offered: int, cycles: int) -> None:
        super().__init__(
            f"the design sent {len(received)} of {wanted} bytes and took {sent} of {offered} "
            f"in {cycles} cycles"
        )
        self.received = received
        self.sent = sent
        self.cycles = cycles


class CompiledModel:
    """One simulated instance of a compiled design.

    The clock domain is ``sync``: ports ``clk`` (implicit) and ``rst``. Between calls the model is
    just after a clock edge; `get` shows the outputs for the inputs as they are set now.

    Parameters
    ----------
    path : Path
        Shared object.
    interface : Interface
        Its ports and memories.
    """

    def __init__(self, path: Path, interface: Interface) -> None:
        self.interface = interface
        self.cycles = 0
        self._library = load_library(path)
        size = self._library.model_bytes()
        self._buffer = ctypes.create_string_buffer(size + WORD_BITS)
        base = ctypes.addressof(self._buffer)
        self._state = base + -base % WORD_BITS  # the C structure is aligned to 64 bytes
        self._in = self._library.model_in(self._state)
        self._out = self._library.model_out(self._state)
        self._inputs = {port.name: port for port in interface.inputs if port.name != "clk"}
        self._outputs = {port.name: port for port in interface.outputs}
        self._trace: Trace | None = None
        self.power_on()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input ports."""
        return tuple(self._inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output ports, then of the probes."""
        return tuple(self._outputs)

    def width(self, name: str) -> int:
        """Return the bits of a port.

        Raises
        ------
        ValueError
            If there is no such port.
        """
        return self._port(name, {**self._inputs, **self._outputs}, "port").width

    def power_on(self) -> None:
        """Set registers and memories to their initial values, and all inputs to 0."""
        self._library.model_init(self._state)
        self.cycles = 0
        self._is_settled = False

    def _port(self, name: str, ports: Mapping[str, Output], kind: str) -> Output:
        try:
            return ports[name]
        except KeyError:
            raise ValueError(f"the design has no {kind} {name}, only {', '.join(ports)}") from None

    def set(self, name: str, value: int) -> None:
        """Set an input port; negative numbers are taken as two's complement.

        Raises
        ------
        ValueError
            If there is no such input, or the value does not fit in it.
        """
        port = self._port(name, self._inputs, "input")
        value = check_value(port, value)
        for word in range(port_words(port)):
            self._in[port.word + word] = value >> WORD_BITS * word & (1 << WORD_BITS) - 1
        self._is_settled = False

    def get(self, name: str) -> int:
        """Return an output port (or a probe) for the present state and inputs.

        Raises
        ------
        ValueError
            If there is no such output.
        """
        port = self._port(name, self._outputs, "output")
        if not self._is_settled:
            self.eval()
        return self._value(port)

    def _value(self, port: Output) -> int:
        words = port_words(port)
        value = sum(self._out[port.word + word] << WORD_BITS * word for word in range(words))
        if port.is_signed and port.width and value >> (port.width - 1):
            value -= 1 << port.width
        return value

    def eval(self) -> None:
        """Compute the outputs for the present state and inputs; `get` does so when needed."""
        self._library.model_settle(self._state)
        self._is_settled = True

    def _after(self, cycles: int) -> None:
        self.cycles += cycles
        self._is_settled = False
        if self._trace is not None:
            self._trace.sample(self.cycles - 1, self._values)

    def _values(self) -> Iterable[int]:
        for port in self._inputs.values():
            words = port_words(port)
            yield sum(self._in[port.word + word] << WORD_BITS * word for word in range(words))
        for port in self._outputs.values():
            yield self._value(port) & (1 << port.width) - 1

    def _chunk(self, cycles: int) -> int:
        return min(cycles, 1) if self._trace is not None else cycles

    def step(self, cycles: int = 1) -> None:
        """Do clock cycles with the inputs as they are.

        Raises
        ------
        ValueError
            If `cycles` is negative.
        """
        if cycles < 0:
            raise ValueError(f"cycles must be at least 0, not {cycles}")
        while cycles:
            chunk = self._chunk(cycles)
            self._library.model_step(self._state, chunk)
            self._after(chunk)
            cycles -= chunk

    def reset(self) -> None:
        """Do one clock cycle with ``rst`` high; memories keep what they hold."""
        self.set("rst", 1)
        self.step()
        self.set("rst", 0)

    def run_vectors(
        self, inputs: Mapping[str, NDArray[np.integer]], outputs: Iterable[str]
    ) -> dict[str, NDArray[np.integer]]:
        """Do many cycles with a new value for each of some inputs in every cycle.

        Parameters
        ----------
        inputs : mapping of str to ndarray of integers, shape (cycles,)
            Values; of ports over 64 bits uint64 of shape (cycles, words), low word first.
        outputs : iterable of str
            Outputs to record, as they are before each clock edge.

        Returns
        -------
        dict of str to ndarray, shape (cycles,)
            uint64, or int64 for signed ports; over 64 bits as above.

        Raises
        ------
        ValueError
            If a name, a shape or a value does not fit.
        """
        lengths = {len(values) for values in inputs.values()}
        if len(lengths) != 1:
            raise ValueError(f"inputs must all have as many cycles, not {sorted(lengths)}")
        (cycles,) = lengths
        columns: list[tuple[Output, NDArray[np.uint64]]] = []
        for name, values in inputs.items():
            port = self._port(name, self._inputs, "input")
            columns.append((port, to_words(port, np.asarray(values))))
        results: list[tuple[Output, NDArray[np.uint64]]] = []
        for name in outputs:
            port = self._port(name, self._outputs, "output")
            words = port_words(port)
            results.append((port, np.zeros((cycles, words), np.uint64)))
        done = 0
        while done < cycles:
            chunk = self._chunk(cycles - done)
            ins = (Column * len(columns))(*(column(p, a[done:]) for p, a in columns))
            outs = (Column * len(results))(*(column(p, a[done:]) for p, a in results))
            self._library.model_run(self._state, chunk, ins, len(ins), outs, len(outs))
            self._after(chunk)
            done += chunk
        return {port.name: from_words(port, array) for port, array in results}

    def exchange(
        self, tx: bytes, rx_bytes: int, max_cycles: int, *, i: str = "i", o: str = "o"
    ) -> tuple[bytes, int]:
        """Send bytes into a stream and receive bytes from another.

        In each cycle a byte is offered while some are left, and taken while some are wanted; a
        transfer happens in the cycles in which the design agrees.

        Parameters
        ----------
        tx : bytes
            To send, all of them.
        rx_bytes : int
            Number of bytes to receive.
        max_cycles : int
            Most cycles to spend.
        i, o : str
            Names of the byte streams into and out of the design.

        Returns
        -------
        received : bytes
            Exactly `rx_bytes` of them.
        cycles : int
            Cycles until both were done.

        Raises
        ------
        SimulationTimeout
            If `max_cycles` were not enough.
        ValueError
            If the design has no such streams of bytes.
        """
        received = ctypes.create_string_buffer(max(1, rx_bytes))
        places = {
            "i_valid": self._port(f"{i}__valid", self._inputs, "input").word,
            "i_payload": self._byte_port(f"{i}__payload", self._inputs, "input").word,
            "o_ready": self._port(f"{o}__ready", self._inputs, "input").word,
            "i_ready": self._port(f"{i}__ready", self._outputs, "output").word,
            "o_valid": self._port(f"{o}__valid", self._outputs, "output").word,
            "o_payload": self._byte_port(f"{o}__payload", self._outputs, "output").word,
        }
        job = Exchange(
            tx=tx, rx=ctypes.addressof(received), tx_bytes=len(tx), rx_bytes=rx_bytes, **places
        )
        cycles = 0
        while cycles < max_cycles and (job.sent < len(tx) or job.received < rx_bytes):
            chunk = self._chunk(max_cycles - cycles)
            done = self._library.model_exchange(self._state, ctypes.byref(job), chunk)
            self._after(done)
            cycles += done
        data = received.raw[: job.received]
        if job.sent < len(tx) or job.received < rx_bytes:
            raise SimulationTimeout(data, rx_bytes, job.sent, len(tx), cycles)
        return data, cycles

    def _byte_port(self, name: str, ports: Mapping[str, Output], kind: str) -> Output:
        port = self._port(name, ports, kind)
        if port.width != 8:
            raise ValueError(f"{kind} {name} must have 8 bits to carry bytes, not {port.width}")
        return port

    def memory(self, name: str) -> MemoryView:
        """Return the words of a memory, named by its dotted path.

        Raises
        ------
        ValueError
            If there is no such memory.
        """
        for index, info in enumerate(self.interface.memories):
            if info.name == name:
                address = self._library.model_memory(self._state, index)
                return MemoryView(info, address, self._buffer)
        known = ", ".join(info.name for info in self.interface.memories)
        raise ValueError(f"the design has no memory {name}, only {known or 'none'}")

    def trace(self, path: Path) -> AbstractContextManager[None]:
        """Write a waveform (VCD) of all ports and probes while the returned context is open.

        The file appears whole when the context closes. Cycles run one by one meanwhile. Nets
        inside the design are shown down to the `trace_depth` it was compiled with.
        """
        ports = [*self._inputs.values(), *self._outputs.values()]
        return Trace(Path(path), ports, self._set_trace)

    def _set_trace(self, trace: Trace | None) -> None:
        self._trace = trace
