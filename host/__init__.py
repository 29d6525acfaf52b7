"""The host: what talks to an accelerator over a link; stands between the mapper and its users."""
