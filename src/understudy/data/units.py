"""In which units pixels are normalised."""

from collections.abc import Sequence


def check_bytes(what: str, mean: Sequence[float], std: Sequence[float]) -> None:
    """ValueError for a mean and std of pixels from 0 to 1, where those of bytes are wanted.

    No set of photographs has both below 1 of 255; mean 0 and std 1 leave the bytes as they are.
    """
    if 0 < max(mean) <= 1 and max(std) <= 1:
        wanted = [", ".join(f"{255 * value:.5g}" for value in values) for values in (mean, std)]
        raise ValueError(
            f"{what}: mean and std are of bytes, 0 to 255; found {tuple(mean)} and {tuple(std)}; did you mean "
            f"({wanted[0]}) and ({wanted[1]})?"
        )
