"""A program in a device, through which streams of inputs pass.

Where the program has two slots (entry points with inputs and outputs of their own), the next input
is sent and the last output fetched while the device computes. The order on the line is then, for
inference k: its input, its RUN (which waits in the device for k - 1), the output of k - 1, and the
input of k + 1; the RUN of k + 1 follows when the output of k - 1, whose slot it uses, is here.

Of a streamed program (:mod:`mapping.scheduling.parts`), an inference is a RUN for each part, with
the words of part p + 1 behind the RUN of part p: that waits in the device for the end of p - 1,
which may have lain where these words go. So they come while part p runs, and where that takes
longer than they do, the array never waits.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.counters import check_counters
from host.device import Device
from host.errors import (
    ConfigMismatchError,
    DeviceTimeoutError,
    DisconnectedError,
    ProgramFailedError,
    StateLostError,
)
from host.pending import Pending
from mapping.program import Program, Slot
from systolic.spec.registers import Status

__all__ = ["Outputs", "Runtime", "Stream"]

MAX_RESETS: Final = 4
"""Times that one output is tried for again after the device was reset, by noise or by others."""
PARTS_AHEAD: Final = 2
"""Parts on their way whose RUN is unanswered: one that runs, and one behind it."""

Outputs = tuple[NDArray[np.int64], ...]
"""Values q of each output of the network, for one image."""


@dataclass(eq=False)
class Job:
    """One inference on its way.

    Parameters
    ----------
    slot : Slot
        Where it is done.
    data : list of bytes
        Words of its inputs, kept until its outputs are here.
    writes, runs, reads
        What was posted for it so far; there is a run for each part of the program.
    """

    slot: Slot
    data: list[bytes]
    writes: list[Pending] = field(default_factory=list[Pending])
    runs: list[Pending] = field(default_factory=list[Pending])
    reads: list[list[Pending]] = field(default_factory=list[list[Pending]])

    def forget(self) -> None:
        """Forget what was posted: the device was reset, or another stream has used it."""
        self.writes, self.runs, self.reads = [], [], []


class Runtime:
    """A program on a device.

    Parameters
    ----------
    device : Device
        Made for the program's configuration.
    program : Program
        What to run.

    Raises
    ------
    ConfigMismatchError
        If the program is for another configuration.
    """

    def __init__(self, device: Device, program: Program) -> None:
        if program.config.digest != device.config.digest:
            raise ConfigMismatchError(device.url, program.config.digest, device.config.digest)
        self.device, self.program = device, program
        self._loaded = -1  # generation of the device in which the program was loaded
        self._stream: Stream | None = None

    def load(self) -> None:
        """Write what stays of the program into the device, unless it is there."""
        if self._loaded != self.device.generation:
            for part in self.program.resident:
                self.device.write(part.address, self.program.words_of(part))
            self._loaded = self.device.generation

    def claim(self, stream: "Stream") -> bool:
        """Make a stream the one at work.

        Returns
        -------
        bool
            Whether it was not. Then no program runs any more, and memory may hold anything but
            what :meth:`load` writes.
        """
        if stream is self._stream:
            return False
        if self._stream is not None and self._stream.is_at_work:
            self.device.wait()
        self._stream = stream
        return True

    def infer(self, *images: ArrayLike) -> Outputs:
        """Outputs for one image.

        Parameters
        ----------
        *images : array of int
            Values q of each input of the network, without a batch's axis.
        """
        return next(self.stream([images]))

    def stream(
        self, images: Iterable[ArrayLike | tuple[ArrayLike, ...]], *, reconnects: int = 0
    ) -> "Stream":
        """Outputs for every image, in order; see :class:`Stream`."""
        return Stream(self, images, reconnects)

    def pack(self, images: ArrayLike | tuple[ArrayLike, ...]) -> list[bytes]:
        """Words of one image's inputs.

        Raises
        ------
        ValueError
            If the number, shapes or values of inputs do not fit.
        """
        inputs = images if isinstance(images, tuple) else (images,)
        if len(inputs) != len(self.program.inputs):
            raise ValueError(
                f"{self.program.name} has {len(self.program.inputs)} input(s), not {len(inputs)}"
            )
        arrays: list[NDArray[Any]] = [np.asarray(image)[np.newaxis] for image in inputs]
        return [self.program.pack_input(array, i)[0] for i, array in enumerate(arrays)]


class Stream(Iterator[Outputs]):
    """Inferences under way: an iterator over outputs, fed by one over inputs.

    It takes inputs only as they can be sent: at most one more than the program has slots are on
    their way, so that its first output comes when as many inputs have been taken. At the end, the
    counters are compared with the prediction.

    A device that loses its state, because noise looked like an ABORT, is loaded again by itself.
    Streams of one runtime may take turns: each does again what was on its way.
    The stream survives what it raises: after a :exc:`host.errors.DisconnectedError`, say, and
    :meth:`host.device.Device.reconnect`, it goes on with the output that is due; inferences whose
    outputs had not come are done again, from inputs that it has kept.

    Parameters
    ----------
    runtime : Runtime
        Where.
    images : iterable of array, or of tuple of array
        Values q of each input, image by image.
    reconnects : int
        How often it may reconnect by itself.

    Raises
    ------
    DeviceError
        When iterated: any of :mod:`host.errors`.
    """

    def __init__(
        self,
        runtime: Runtime,
        images: Iterable[ArrayLike | tuple[ArrayLike, ...]],
        reconnects: int = 0,
    ) -> None:
        self._runtime, self._device = runtime, runtime.device
        self._images = iter(images)
        self._reconnects = reconnects
        self._taken = 0
        self._jobs: deque[Job] = deque()
        self._is_exhausted = False
        self._generation = -1
        self._runs = 0
        self._wait: Pending | None = None
        self._late: Exception | None = None

    @property
    def is_at_work(self) -> bool:
        """Whether inferences are under way."""
        return bool(self._jobs)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Outputs:
        repair, resets = None, MAX_RESETS
        while True:
            try:
                if repair is not None:
                    repair()
                return self._advance()
            except StateLostError:
                if not resets:
                    raise
                resets -= 1
                repair = self._device.reset
            except (DisconnectedError, DeviceTimeoutError):
                if not self._reconnects:
                    raise
                self._reconnects -= 1
                repair = self._device.reconnect

    def _advance(self) -> Outputs:
        if self._late is not None:
            error, self._late = self._late, None
            raise error
        if self._runtime.claim(self) or self._generation != self._device.generation:
            self._runtime.load()
            self._generation, self._runs, self._wait = self._device.generation, 0, None
            for job in self._jobs:
                job.forget()
        self._post()
        if not self._jobs:
            self._check_end()
            raise StopIteration
        job = self._jobs[0]
        while not job.reads:  # the next part may come when this one's RUN is answered
            self._device.link.finish(next(run for run in job.runs if run.reply is None))
            self._post()
        words = [
            b"".join(reply.payload for reply in self._device.link.finish_all(pendings))
            for pendings in job.reads
        ]
        self._check_runs(job)
        outputs = tuple(
            tensor.unpack(data, self._device.config)
            for tensor, data in zip(job.slot.outputs, words, strict=True)
        )
        self._jobs.popleft()
        try:
            self._post()  # so that the device works while the caller does
        except Exception as error:
            self._late = error  # these outputs are here: it is told when the next are due
        return outputs

    def _post(self) -> None:
        """Post all that may be posted, in the only order that is right."""
        is_stuck = False
        while not is_stuck:
            is_stuck = not (self._post_run() or self._post_read() or self._post_write())

    def _post_run(self) -> bool:
        """Start the next part of the next inference whose slot is free: outputs before it came."""
        program = self._runtime.program
        for job in list(self._jobs)[: len(program.slots)]:
            if not job.writes or self._has_all_runs(job) or self._is_far_ahead(job):
                continue
            part = program.runs(job.slot)[len(job.runs)]
            if part in program.streamed:
                self._device.post_write(part.address, program.words_of(part))
            resume = self._runs > 0
            run = self._device.post_run(part.entry, resume=resume, previous_cycles=program.cycles)
            job.runs.append(run)
            self._runs += 1
            return True
        return False

    def _has_all_runs(self, job: Job) -> bool:
        return len(job.runs) == len(self._runtime.program.runs(job.slot))

    @staticmethod
    def _is_far_ahead(job: Job) -> bool:
        return sum(run.reply is None for run in job.runs) >= PARTS_AHEAD

    def _post_read(self) -> bool:
        """Ask for the first inference's outputs, behind something that waits for its end."""
        if not self._jobs or not self._has_all_runs(self._jobs[0]) or self._jobs[0].reads:
            return False
        job = self._jobs[0]
        if len(self._jobs) > 1 and not self._jobs[1].runs:
            return False
        if len(self._jobs) == 1:
            if len(self._runtime.program.slots) > 1 and not self._is_exhausted:
                return False
            self._wait = self._device.post_wait(self._runtime.program.cycles)
        config = self._device.config
        job.reads = [
            self._device.post_read(tensor.address, tensor.words(config))
            for tensor in job.slot.outputs
        ]
        return True

    def _post_write(self) -> bool:
        """Send the next inputs, once the run that uses their place now is known to end first."""
        slots = len(self._runtime.program.slots)
        ahead = [job for job in self._jobs if not job.writes]
        place = len(self._jobs) - len(ahead)
        if place >= (slots + 1 if slots > 1 else 1) or not all(
            job.runs for job in list(self._jobs)[: min(place, slots)]
        ):
            return False
        was_exhausted = self._is_exhausted
        job = ahead[0] if ahead else self._take()
        if job is None:
            return not was_exhausted  # that there is no more input is news, too
        job.writes = [
            pending
            for tensor, data in zip(job.slot.inputs, job.data, strict=True)
            for pending in self._device.post_write(tensor.address, data)
        ]
        return True

    def _take(self) -> Job | None:
        """Next inference, or None if there are no more inputs."""
        if self._is_exhausted:
            return None
        try:
            images = next(self._images)
        except StopIteration:
            self._is_exhausted = True
            return None
        slot = self._runtime.program.slots[self._taken % len(self._runtime.program.slots)]
        job = Job(slot, self._runtime.pack(images))
        self._taken += 1
        self._jobs.append(job)
        return job

    def _check_runs(self, job: Job) -> None:
        """Refuse outputs of a run that did not come to its end, as what waited for it tells."""
        ended = self._jobs[1].runs[0] if len(self._jobs) > 1 else self._wait
        assert ended is not None  # the outputs were read behind it
        parts = self._runtime.program.runs(job.slot)
        for part, pending in zip(parts, (*job.runs[1:], ended), strict=True):
            if self._device.link.finish(pending).status is not Status.HALTED:
                raise ProgramFailedError(self._device.url, part.entry)

    def _check_end(self) -> None:
        if self._runs:
            program = self._runtime.program
            inferences = self._runs // len(program.runs(program.slots[0]))
            check_counters(self._device.url, program, inferences, self._device.registers())
            self._runs = 0
