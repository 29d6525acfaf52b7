"""The whole accelerator: two byte streams outside, everything else inside."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from systolic.core import Core
from systolic.delay import DelayLine
from systolic.drain import Drain
from systolic.feeder import Feeder
from systolic.host_port import HostPort
from systolic.links.transfer import FRAMED_BYTE
from systolic.out_buffer import OutBuffer
from systolic.parameters import FIELDS, ParameterMemory
from systolic.requantizer import Requantizer
from systolic.scratchpad import Scratchpad
from systolic.sequencer import Sequencer
from systolic.spec.config import ArrayConfig
from systolic.spec.geometry import OFFSET_DEPTH
from systolic.spec.isa import Output
from systolic.spec.registers import Identity
from systolic.spec.rounding import LIMBS


class Accelerator(wiring.Component):
    """Systolic accelerator with everything but a link and a board.

    Data flow: host port -> scratchpad -> core (skew, array, columns) -> requantizer -> lookup table
    -> output buffer -> scratchpad. The sequencer, by way of the feeder's addresses, moves words;
    the drain engine walks over accumulators beside it.

    Parameters
    ----------
    config : ArrayConfig
        All there is to choose about the array.
    framed : bool
        Whether it takes framed packets, as a link needs them, or raw ones.
    identity : Identity, optional
        What it tells of its link and board.

    Members
    -------
    i : ``In(stream.Signature(FRAMED_BYTE))``
        Requests from the host: see :mod:`systolic.spec.packets`. Raw ones are bytes.
    o : ``Out(stream.Signature(FRAMED_BYTE))``
        Replies, likewise.
    """

    def __init__(
        self, config: ArrayConfig, *, framed: bool = False, identity: Identity | None = None
    ) -> None:
        self._config = config
        self._framed = framed
        self._identity = identity
        byte = FRAMED_BYTE if framed else 8
        super().__init__({"i": In(stream.Signature(byte)), "o": Out(stream.Signature(byte))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self._config
        m.submodules.host_port = host = HostPort(
            config, framed=self._framed, identity=self._identity
        )
        m.submodules.sequencer = sequencer = Sequencer(config)
        m.submodules.feeder = feeder = Feeder(
            addr_bits=config.addr_bits,
            index_bits=max(config.acc_addr_bits, config.out_pixels.bit_length() - 1),
            half_bits=config.acc_addr_bits + 1,
            diagonal_words=config.weight_digits if config.diagonal else 0,
        )
        m.submodules.scratchpad = scratchpad = Scratchpad(
            word_bits=config.word_bits, depth=config.scratchpad_words
        )
        m.submodules.core = core = Core(config)
        m.submodules.drain = drain = Drain(
            addr_bits=config.acc_addr_bits,
            cols=config.cols,
            intervals=[config.drain_interval(n + 1) for n in range(config.max_digits)],
            threshold_intervals=[
                config.drain_interval(n + 1, thresholds=True)
                for n in range(config.max_digits if config.threshold_bits else 0)
            ],
            wait_cycles=config.drain_wait_cycles,
        )
        m.submodules.out_buffer = out_buffer = OutBuffer(
            rows=config.rows,
            digit_bits=config.digit_bits,
            cols=config.cols,
            group_cols=config.out_cols,
            word_bits=config.word_bits,
            max_digits=config.max_digits,
            pixels=config.out_pixels,
        )
        wiring.connect(m, wiring.flipped(self.i), host.i)
        wiring.connect(m, host.o, wiring.flipped(self.o))
        self._connect_control(m, host, sequencer, feeder, scratchpad, drain)
        self._connect_scratchpad(m, host, sequencer, feeder, scratchpad, out_buffer)
        self._connect_core(m, sequencer, feeder, scratchpad, drain, core)
        code, valid, window_ends = self._build_requantizer(m, sequencer, feeder, core, drain)
        m.d.comb += [
            out_buffer.instruction_i.eq(sequencer.instruction_o),
            out_buffer.output_en_i.eq(sequencer.output_en_o),
            out_buffer.start_i.eq(sequencer.drain_start_o),
            out_buffer.code_i.eq(code),
            out_buffer.valid_i.eq(valid),
            out_buffer.window_end_i.eq(window_ends),
        ]
        return m

    def _connect_control(self, m, host, sequencer, feeder, scratchpad, drain) -> None:
        m.d.comb += [
            sequencer.run_i.eq(host.run_o),
            sequencer.step_i.eq(host.step_o),
            sequencer.drain_will_be_busy_i.eq(drain.will_be_busy_o),
            sequencer.word_i.eq(scratchpad.read_data_o),
            sequencer.pixel_end_i.eq(feeder.is_pixel_end_o),
            sequencer.end_i.eq(feeder.is_end_o),
            sequencer.will_pixel_end_i.eq(feeder.will_pixel_end_o),
            sequencer.flags_i.eq(feeder.flags_o),
            feeder.instruction_i.eq(sequencer.instruction_o),
            feeder.decode_i.eq(sequencer.decode_o),
            feeder.jump_i.eq(sequencer.jump_o),
            feeder.follow_i.eq(sequencer.follow_o),
            feeder.fetch_i.eq(sequencer.fetch_o),
            feeder.step_i.eq(sequencer.address_step_o),
            feeder.host_step_i.eq(host.address_step_o),
            feeder.prime_i.eq(sequencer.prime_o),
            feeder.gather_i.eq(sequencer.gather_o),
            feeder.count_i.eq(sequencer.count_o),
            feeder.entry_i.eq(sequencer.entry_o),
            feeder.hold_pixel_i.eq(sequencer.hold_pixel_o),
            feeder.unit_i.eq(sequencer.unit_o),
            feeder.offset_en_i.eq(sequencer.offset_en_o),
            feeder.header_i.eq(host.byte_o),
            feeder.header_en_i.eq(host.header_en_o),
            drain.instruction_i.eq(sequencer.instruction_o),
            drain.output_en_i.eq(sequencer.output_en_o),
            drain.start_i.eq(sequencer.drain_start_o),
            host.is_last_i.eq(feeder.is_last_o),
            host.follow_i.eq(sequencer.follow_o),
            host.slot_i.eq(sequencer.slot_o),
            host.running_i.eq(sequencer.running_o),
            host.stopped_i.eq(sequencer.stopped_o),
            host.status_i.eq(sequencer.status_o),
            host.stream_i.eq(sequencer.stream_o),
        ]

    def _connect_core(self, m, sequencer, feeder, scratchpad, drain, core) -> None:
        m.d.comb += [
            core.word_i.eq(scratchpad.read_data_o),
            core.load_i.eq(sequencer.load_o),
            core.token_i.eq(feeder.token_o),
            core.token_i.commit.eq(feeder.token_o.commit & sequencer.stream_o),
            core.drain_addr_i.eq(drain.addr_o),
            core.drain_col_i.eq(drain.col_o),
        ]
        if self._config.diagonal:
            m.d.comb += [
                feeder.diagonal_i.eq(sequencer.diagonal_o),
                feeder.wrap_i.eq(sequencer.wrap_o),
                core.bands_i.eq(sequencer.bands_o),
                core.single_i.eq(sequencer.single_o),
            ]

    def _connect_scratchpad(self, m, host, sequencer, feeder, scratchpad, out_buffer) -> None:
        m.d.comb += [
            host.unit_i.eq(sequencer.unit_o),
            sequencer.unit_index_i.eq(host.unit_index_o),
            scratchpad.addr_i.eq(feeder.addr_o),
            scratchpad.read_en_i.eq(host.read_en_o | sequencer.read_en_o),
            scratchpad.write_en_i.eq(host.write_en_o | sequencer.store_o),
            scratchpad.write_data_i.eq(out_buffer.word_o),
            out_buffer.byte_i.eq(host.byte_o),
            host.byte_ready_i.eq(out_buffer.byte_ready_o),
            out_buffer.byte_index_i.eq(host.byte_index_o),
            out_buffer.byte_en_i.eq(host.byte_en_o),
            out_buffer.read_host_i.eq(host.buffer_en_o),
            out_buffer.read_en_i.eq(host.buffer_en_o | sequencer.buffer_en_o),
            out_buffer.read_block_i.eq(feeder.block_o),
            out_buffer.read_digit_i.eq(feeder.digit_o),
            out_buffer.read_pixel_i.eq(feeder.pixel_o),
        ]

    def _build_requantizer(
        self, m: Module, sequencer: Sequencer, feeder: Feeder, core: Core, drain: Drain
    ) -> tuple[Value, Value, Value]:
        """From the drain's addresses to codes, their strobe, and whether a window ends."""
        config = self._config
        m.submodules.requantizer = requantizer = Requantizer(
            acc_bits=config.acc_bits,
            weight_bits=config.weight_bits,
            cycles=config.requantize_cycles,
            style=config.multiplier,
            roundings=("tflite", "onnx") if config.onnx else ("tflite",),
            threshold_bits=config.threshold_bits,
        )
        m.submodules.parameters = parameters = ParameterMemory(
            word_bits=config.word_bits, limb_bits=len(requantizer.multiplier_i) // LIMBS
        )
        assert requantizer.latency <= config.requantizer_latency  # the contract's bound
        m.d.comb += [
            parameters.channel_i.eq(feeder.index_o),
            parameters.word_i.eq(sequencer.word_i),
            parameters.write_en_i.eq(sequencer.parameter_en_o),
        ]
        # The accumulator is read in slot cycle 0 and goes into the requantizer when it is there.
        m.submodules.flags = line = DelayLine(width=4, cycles=core.drain_cycles)
        m.d.comb += [
            requantizer.acc_i.eq(core.drain_o),
            line.i.eq(
                Cat(
                    drain.slot_o,
                    drain.is_first_part_o,
                    drain.is_last_part_o,
                    drain.is_window_end_o,
                )
            ),
            Cat(requantizer.valid_i, requantizer.first_i, requantizer.last_i, requantizer.tag_i).eq(
                line.o
            ),
        ]
        # Parameters are read in the cycle before the requantizer wants them.
        for name in FIELDS:
            offset = getattr(requantizer, f"{name}_offset")
            m.submodules[f"{name}_channel"] = delay = DelayLine(
                width=8, cycles=core.drain_cycles - 1 + offset
            )
            channel = delay.o
            if name == "bias" and config.threshold_bits:
                # Thresholds lie node by node; a channel's number has no bits there.
                channel = channel | requantizer.node_o << config.threshold_channels.bit_length() - 1
            m.d.comb += [
                delay.i.eq(drain.channel_o),
                getattr(parameters, f"{name}_channel_i").eq(channel),
                getattr(requantizer, f"{name}_i").eq(getattr(parameters, f"{name}_o")),
            ]
        return self._build_output(m, sequencer, feeder, requantizer)

    def _build_output(
        self, m: Module, sequencer: Sequencer, feeder: Feeder, requantizer: Requantizer
    ) -> tuple[Value, Value, Value]:
        """Settings of the last OUTPUT, and the lookup table."""
        layout = {
            name: field
            for name, field in Output.LAYOUT.items()
            if name != "thresholds" or self._config.threshold_bits
        }
        settings = {name: Signal(field.width, name=name) for name, field in layout.items()}
        with m.If(sequencer.output_en_o):
            for name, field in layout.items():
                m.d.sync += settings[name].eq(sequencer.instruction_o[field.lsb :][: field.width])
        m.d.comb += [
            requantizer.onnx_i.eq(settings["onnx"]),
            requantizer.zero_i.eq(settings["zero"]),
            requantizer.lo_i.eq(settings["lo"]),
            requantizer.hi_i.eq(settings["hi"]),
        ]
        if self._config.threshold_bits:
            m.d.comb += requantizer.thresholds_i.eq(settings["thresholds"])
        if not self._config.table:
            return requantizer.code_o, requantizer.valid_o, requantizer.tag_o
        m.submodules.table = table = memory.Memory(
            shape=8, depth=OFFSET_DEPTH, init=[], attrs={"ram_style": "block"}
        )
        write, read = table.write_port(), table.read_port()
        code, valid, window_ends = Signal(8), Signal(), Signal()
        m.d.sync += [
            code.eq(requantizer.code_o),
            valid.eq(requantizer.valid_o),
            window_ends.eq(requantizer.tag_o),
        ]
        m.d.comb += [
            write.addr.eq(feeder.index_o),
            write.data.eq(sequencer.unit_o),
            write.en.eq(sequencer.table_en_o),
            read.addr.eq(requantizer.code_o),
        ]
        return Mux(settings["table"], read.data, code), valid, window_ends
