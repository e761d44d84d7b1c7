"""Amounts of memory as the site file writes them."""

_UNITS = {"M": 1024**2, "G": 1024**3}


def size(text: str) -> int:
    """How many bytes 512M or 2G are."""
    return int(text[:-1]) * _UNITS[text[-1]]


def share(text: str, percent: int) -> int:
    """So many hundredths of an amount, in bytes."""
    return size(text) * percent // 100
