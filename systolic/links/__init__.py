"""Links: how requests and replies reach an accelerator from outside the chip."""
