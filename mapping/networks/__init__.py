"""Networks that come with the mapper, ready to run, with images to try them on."""

from mapping.networks.digits import (
    DigitsImages,
    load_digits_images,
    load_included,
    network_names,
)

__all__ = ["DigitsImages", "load_digits_images", "load_included", "network_names"]
