"""How many blocks a residual network's depth means."""


def blocks_per_group(family: str, depth: int, *, layers: int, others: int) -> int:
    """n of depth = layers n + others; ValueError with the nearest depths that have one."""
    blocks, rest = divmod(depth - others, layers)
    if blocks >= 1 and rest == 0:
        return blocks
    first = ", ".join(str(layers * n + others) for n in range(1, 6))
    near = [str(layers * n + others) for n in {max(blocks, 1), max(blocks + 1, 1)}]
    raise ValueError(
        f"the depth of {family} is {layers} n + {others} ({first}, ...), found {depth}; "
        f"nearest: {' and '.join(sorted(near, key=int))}"
    )
