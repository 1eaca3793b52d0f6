"""Numbers as a reader wants them: 83.60, 0.69 M, 3 min 50 s. What was not measured is a dash."""

from understudy.spec.sizes import size_in_words, three_figures

NOT_MEASURED = "–"


def percent(value_pct: float | None) -> str:
    """Two places: one image in ten thousand."""
    return NOT_MEASURED if value_pct is None else f"{value_pct:.2f}"


def count(value: float | None) -> str:
    """Three figures with M for millions, G for thousands of millions: 692 k, 101 M."""
    if value is None:
        return NOT_MEASURED
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{three_figures(value / size)} {letter}"
    return f"{value:g}"


def memory(value_bytes: float | None) -> str:
    """29.2 KiB, 5.38 MiB."""
    return NOT_MEASURED if value_bytes is None else size_in_words(value_bytes)


def duration(value_s: float | None) -> str:
    """The two largest units: 42.1 s, 3 min 50 s, 2 h 05 min."""
    if value_s is None:
        return NOT_MEASURED
    if value_s < 59.95:
        return f"{value_s:.1f} s"
    if value_s < 3599.5:
        minutes, seconds = divmod(round(value_s), 60)
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(round(value_s / 60), 60)
    return f"{hours} h {minutes:02d} min"


def rate(value_per_s: float | None) -> str:
    """Images per second, whole from a hundred on."""
    if value_per_s is None:
        return NOT_MEASURED
    return f"{value_per_s:,.0f}" if value_per_s >= 99.95 else f"{value_per_s:.1f}"


def fraction_as_percent(fraction: float | None) -> str:
    """0.931 as 93.1."""
    return NOT_MEASURED if fraction is None else f"{100.0 * fraction:.1f}"
