"""Numbers in three figures, and sizes in memory as they are told."""


def size_in_words(size_bytes: float) -> str:
    """Three figures in KiB, MiB or GiB: 29.2 KiB, 2.66 MiB, 18.7 GiB."""
    power = 1 if size_bytes < 999.5 * 2**10 else 2 if size_bytes < 999.5 * 2**20 else 3
    value = size_bytes / 2 ** (10 * power)
    return f"{three_figures(value)} {('KiB', 'MiB', 'GiB')[power - 1]}"


def three_figures(value: float) -> str:
    """234, 23.4, 2.34: never an exponent."""
    places = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{places}f}"


def ratio_in_words(ratio: float) -> str:
    """0.12, 3.4, 280."""
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"
