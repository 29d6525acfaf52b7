"""What can be wrong with a bitstream."""

__all__ = ["BitstreamError"]


class BitstreamError(ValueError):
    """A bitstream cannot be read, or holds something whose meaning is not known."""
