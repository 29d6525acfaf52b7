"""What can go wrong between a network and its program; every message is one line."""


class MappingError(ValueError):
    """A network that cannot be mapped onto this configuration."""


class UnsupportedError(MappingError):
    """An operation or a property that the machine, as configured, cannot execute."""


class OverflowProofError(MappingError):
    """A layer whose sums might leave the accumulator.

    Parameters
    ----------
    layer : str
        Name of the layer.
    channel : int
        Its output channel with the largest excess.
    bound : int
        Magnitude that the channel can reach.
    limit : int
        Magnitude that fits.
    what : str
        Which number overflows.
    """

    def __init__(self, layer: str, channel: int, bound: int, limit: int, what: str) -> None:
        super().__init__(
            f"{layer}: {what} of channel {channel} can reach {bound}, but {limit} is the limit: "
            "use more acc_bits, fewer inputs or smaller weights"
        )
        self.layer, self.channel, self.bound, self.limit = layer, channel, bound, limit


class ScratchpadError(MappingError):
    """A network that does not fit the scratchpad.

    Parameters
    ----------
    message : str
        What needs how much, without the end.
    missing_bytes : int
        By how much it is too much.
    """

    def __init__(self, message: str, missing_bytes: int) -> None:
        super().__init__(f"{message}: {missing_bytes} bytes too many")
        self.missing_bytes = missing_bytes


class ProgramError(ValueError):
    """A program file or image that is not what it says, or breaks a rule of the machine."""
