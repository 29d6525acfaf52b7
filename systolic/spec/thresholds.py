"""The search among a channel's thresholds: a comparison for each bit of the result.

The thresholds of a channel are a tree: node 1 decides the highest bit of the code, and node
``2 * n + bit`` the bit behind that which node n has decided. Each node holds an entry of 32 bits,
a bias of 31 (two's complement) and a flag: the bit is ``[acc + bias >= 0]``, inverted if the flag
is set. So a channel whose code falls where the sum grows takes as much as any other.

Free of numpy, so that the gateware can import it;
:func:`systolic.spec.arithmetic.search_thresholds` is the whole search.
"""

__all__ = ["BIAS_BITS", "ENTRY_BITS", "codes_of_nodes"]

ENTRY_BITS = 32
"""Bits of a node's entry; the flag is the top one."""

BIAS_BITS = ENTRY_BITS - 1
"""Bits of its bias."""


def codes_of_nodes(bits: int) -> tuple[int, ...]:
    """Code that the sum has to reach at each node, from node 1 on.

    Examples
    --------
    >>> codes_of_nodes(3)
    (4, 2, 6, 1, 3, 5, 7)
    """
    depths = (node.bit_length() - 1 for node in range(1, 1 << bits))
    return tuple(
        (2 * (node - (1 << depth)) + 1) << bits - 1 - depth
        for node, depth in enumerate(depths, start=1)
    )
