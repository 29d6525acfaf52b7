"""Packets: byte layout, check sequences, framing, and what damage does."""

import doctest
import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systolic.spec.packets import (
    ABORT,
    BURST_WORDS,
    FCS_POLYNOMIAL,
    FCS_RESIDUE,
    FLAG,
    FLAG_RESUME,
    FLAG_STEP,
    Code,
    Command,
    Deframer,
    PacketError,
    Reply,
    Request,
    bursts,
    fcs,
    frame,
    seal,
    unseal,
)
from systolic.spec.registers import Status

requests = st.builds(
    lambda command, sequence, addr, words, flags, payload: Request(
        command, sequence, addr, addr + words - 1, flags, payload
    ),
    st.sampled_from(Command),
    st.integers(0, 255),
    st.integers(0, 0xFFFF),
    st.integers(1, BURST_WORDS),
    st.integers(0, 3),
    st.binary(max_size=40),
)
replies = st.builds(
    Reply,
    st.sampled_from(Code),
    st.integers(0, 255),
    st.sampled_from(Status),
    st.booleans(),
    st.binary(max_size=40),
)


def bitwise_fcs(data: bytes) -> int:
    """Shift register of RFC 1662 behind ``data``, bit by bit."""
    register = 0xFFFFFFFF
    for byte in data:
        for bit in range(8):
            feedback = (register ^ byte >> bit) & 1
            register = register >> 1 ^ (FCS_POLYNOMIAL if feedback else 0)
    return register


@given(st.binary(max_size=40))
def test_the_check_sequence_is_that_of_rfc_1662(data: bytes) -> None:
    assert fcs(data) == (bitwise_fcs(data) ^ 0xFFFFFFFF).to_bytes(4, "little")
    assert bitwise_fcs(seal(data)) == FCS_RESIDUE
    assert unseal(seal(data)) == data


@given(st.binary(max_size=40), st.integers(0, 2**32 - 1))
def test_a_flipped_bit_breaks_the_seal(data: bytes, seed: int) -> None:
    sealed = bytearray(seal(data))
    at = Random(seed).randrange(8 * len(sealed))
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises(PacketError, match="wrong check sequence"):
        unseal(bytes(sealed))


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(1, 7)))
def test_frames_come_back_whatever_the_pieces(contents: list[bytes], cuts: list[int]) -> None:
    sent = b"".join(frame(content) for content in contents)
    deframer, got = Deframer(), []
    for cut in cuts:
        got += deframer.feed(sent[:cut])
        sent = sent[cut:]
    got += deframer.feed(sent)
    assert got == [content for content in contents if content]


@given(st.binary(max_size=20))
def test_no_frame_contains_what_ends_or_aborts_it(content: bytes) -> None:
    sent = frame(content)
    assert sent.index(FLAG) == len(sent) - 1
    assert ABORT not in sent


@given(st.one_of(st.binary(max_size=20), st.just(b"\x7d\x7d")), st.binary(max_size=20))
def test_an_abort_is_seen_behind_whatever_was_sent(garbage: bytes, content: bytes) -> None:
    got = list(Deframer().feed(garbage + ABORT + frame(content)))
    assert None in got
    assert got[len(got) - got[::-1].index(None) :] == ([content] if content else [])


def test_a_frame_that_is_too_long_stays_so_and_takes_no_memory() -> None:
    got = list(Deframer(max_bytes=10).feed(frame(bytes(1000)) + frame(bytes(10))))
    assert got == [bytes(11), bytes(10)]


def test_a_deframer_forgets() -> None:
    deframer = Deframer()
    assert list(deframer.feed(b"abc\x7d")) == []
    deframer.reset()
    assert list(deframer.feed(frame(b"d"))) == [b"d"]


def test_a_header_is_code_sequence_address_and_low_byte_of_the_last() -> None:
    request = Request(Command.RUN, 9, 0x1234, 0x12FF, flags=FLAG_STEP | FLAG_RESUME)
    assert request.header == bytes([3 | 3 << 3, 9, 0x34, 0x12, 0xFF])
    assert Request(Command.WRITE, 0, 1, 1, payload=b"ab").raw == b"\1\0\1\0\1ab"
    assert Reply(Code.BAD_PAYLOAD, 7, Status.ILLEGAL, is_running=True).header == b"\3\7\x82"


@given(requests)
def test_a_request_is_what_its_frame_says(request: Request) -> None:
    (content,) = Deframer().feed(request.encode())
    assert content is not None
    header, rest = Request.decode_header(content)
    assert header.header == request.header
    assert header.words == request.words == request.last - request.addr + 1
    assert (header.command, header.last) == (request.command, request.last)
    assert unseal(rest) == request.payload if rest else not request.payload


@given(replies)
def test_a_reply_is_what_its_frame_says(reply: Reply) -> None:
    (content,) = Deframer().feed(reply.encode())
    assert content is not None
    assert Reply.decode(content) == reply


@pytest.mark.parametrize("opcode", [0, 6, 7, 8, 14])
def test_an_unknown_opcode_is_no_request(opcode: int) -> None:
    with pytest.raises(PacketError, match=f"no command has opcode {opcode % 8}"):
        Request.decode_header(seal(bytes([opcode, 0, 0, 0, 0])))


@pytest.mark.parametrize("header", [b"\4\0\0", b"\0\0\3", b"\0\0\x83"])
def test_a_reply_says_only_what_a_device_can(header: bytes) -> None:
    with pytest.raises(PacketError, match="a reply cannot have code"):
        Reply.decode(seal(header))


def test_short_packets_are_none() -> None:
    with pytest.raises(PacketError, match="a request has at least 9 bytes, not 8"):
        Request.decode_header(bytes(8))
    with pytest.raises(PacketError, match="a reply has at least 7 bytes, not 0"):
        Reply.decode(b"")


def test_only_what_changes_something_or_moves_words_is_sequenced() -> None:
    sequenced = [command for command in Command if command.is_sequenced]
    assert sequenced == [Command.WRITE, Command.READ, Command.RUN]


@given(st.integers(0, 63535), st.integers(0, 2000))
def test_bursts_cover_each_word_once_and_end_where_a_request_can_tell(
    addr: int, count: int
) -> None:
    words = []
    for first, length in bursts(addr, count):
        assert Request(Command.WRITE, addr=first, last=first + length - 1).words == length
        words += range(first, first + length)
    assert words == list(range(addr, addr + count))


def test_the_protocol_page_says_what_is_so() -> None:
    page = Path(__file__).parents[3] / "docs/protocol.md"
    assert doctest.testfile(str(page), module_relative=False, encoding="utf-8").failed == 0
    text = page.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| ([A-Z_]+) \|(?: (yes|no) \|)?", text, re.MULTILINE)
    told = {True: "yes", False: "no"}
    commands = [(str(each.value), each.name, told[each.is_sequenced]) for each in Command]
    assert rows == [*commands, *((str(code.value), code.name, "") for code in Code)]
