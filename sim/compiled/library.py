"""The functions and structures of a compiled model, as ctypes sees them."""

import ctypes
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.compiled.rtl.design import Output

__all__ = ["Column", "Exchange", "column", "load_library"]


class Column(ctypes.Structure):
    """Values of one port over many cycles; ``Column`` of ``driver.h``."""

    _fields_ = (
        ("word", ctypes.c_uint64),
        ("words", ctypes.c_uint64),
        ("data", ctypes.c_void_p),
    )


class Exchange(ctypes.Structure):
    """Progress of an exchange of bytes; ``Exchange`` of ``driver.h``."""

    _fields_ = (
        *(
            (name, ctypes.c_uint64)
            for name in ("i_valid", "i_payload", "i_ready", "o_valid", "o_payload", "o_ready")
        ),
        ("tx", ctypes.c_char_p),
        ("rx", ctypes.c_void_p),
        *((name, ctypes.c_uint64) for name in ("tx_bytes", "rx_bytes", "sent", "received")),
    )


def load_library(path: Path) -> ctypes.CDLL:
    """Load a shared object and declare the functions of ``driver.h``."""
    library = ctypes.CDLL(str(path))
    pointer, number = ctypes.c_void_p, ctypes.c_uint64
    for name, result, arguments in (
        ("model_bytes", number, ()),
        ("model_init", None, (pointer,)),
        ("model_settle", None, (pointer,)),
        ("model_in", ctypes.POINTER(number), (pointer,)),
        ("model_out", ctypes.POINTER(number), (pointer,)),
        ("model_step", None, (pointer, number)),
        ("model_run", None, (pointer, number, pointer, number, pointer, number)),
        ("model_exchange", number, (pointer, pointer, number)),
        ("model_memory", pointer, (pointer, number)),
    ):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def column(port: Output, data: NDArray[np.uint64]) -> Column:
    """Return the column of a port over a contiguous array of shape (cycles, words)."""
    return Column(port.word, data.shape[1], data.ctypes.data)
