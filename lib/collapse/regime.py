"""What a generation is trained on: human text, its predecessor's text, or a mixture."""

import numpy as np

from collapse.protocol import Protocol

PURPOSES = ("training", "writing", "retention")  # of random numbers; the order is part of them


def training_blocks(human: np.ndarray, written: list[np.ndarray], protocol: Protocol) -> np.ndarray:
    """The blocks that the next generation is trained on.

    With `replace`, block i is the continuation that the last generation wrote for prompt i, or,
    for a random share `retained` drawn anew each generation, human block i; the size is constant
    (released code, `dataset.py`: the first batches of a shuffled loader keep their blocks). With
    `accumulate` it is all human and all synthetic blocks so far; `accumulate-subsample` draws as
    many of these as there are human blocks.

    Args:
        human: tokens, (blocks, block_length).
        written: what each earlier generation wrote, each shaped like `human`.

    Returns:
        tokens, (blocks, block_length); with `accumulate`, more blocks.
    """
    if not written:
        return human
    if protocol.regime == "replace":
        kept = retained_rows(len(human), protocol, len(written))
        mixed = written[-1].copy()
        mixed[kept] = human[kept]
        return mixed
    pool = np.concatenate([human, *written])
    if protocol.regime == "accumulate":
        return pool
    random = np.random.default_rng(seed_of(protocol, len(written), "retention"))
    return pool[np.sort(random.permutation(len(pool))[: len(human)])]


def retained_rows(blocks: int, protocol: Protocol, generation: int) -> np.ndarray:
    """Which human blocks a generation keeps: sorted indices, drawn without replacement."""
    random = np.random.default_rng(seed_of(protocol, generation, "retention"))
    return np.sort(random.permutation(blocks)[: round(blocks * protocol.retained)])


def seed_of(protocol: Protocol, generation: int, purpose: str) -> int:
    """A seed for one use of random numbers in one generation; arms of equal seed share it."""
    entropy = [protocol.seed, generation, PURPOSES.index(purpose)]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
