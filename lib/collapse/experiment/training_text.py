"""What a generation is trained on: human text, its predecessor's text, or a mixture."""

import numpy as np

from collapse.experiment.corpus import Blocks
from collapse.experiment.protocol import Protocol, ProtocolError

PURPOSES = ("training", "writing", "retention")  # of random numbers; the order is part of them


def training_blocks(human: Blocks, written: list[np.ndarray], protocol: Protocol) -> np.ndarray:
    """The blocks that the next generation is trained on.

    With `replace`, block i is the continuation that the last generation wrote for prompt i, or,
    for a random share `retained` of the rows, a human block; the size is constant (released code,
    `dataset.py`: the first batches of a shuffled loader keep their blocks). The rows are drawn
    anew each generation, or once if they are `fixed`; in a row is its own block, or, if they are
    `fresh`, one that no generation has seen (Alemohammad et al. 2023, fig. 1: with nothing
    retained, fixed and fresh are their three loops). Rows that are `replaced_by` another subject
    have human text on it in place of continuations.
    With `accumulate` it is all human and all synthetic blocks so far; `accumulate-subsample` draws
    as many of these as there are human blocks (Kazdan et al. 2024). The last generation of a run
    with a recovery has unseen human blocks alone.

    Args:
        written: what each earlier generation wrote, each shaped like `human.train`, as is what is
            returned; but with `accumulate` and with a recovery it has another number of rows.
    """
    number = len(written)
    if not written:
        return human.train
    if mends(protocol, number):
        return shuffled(human.unseen, protocol)[: protocol.unseen][-protocol.recovery :]
    if protocol.regime == "replace":
        rows = len(human.train)
        keeping = retained_rows(rows, protocol, number)
        mixed = written[-1].copy()
        if protocol.replaced_by == "other-subject":
            mixed = shuffled(human.other, protocol)[rows * (number - 1) : rows * number]
        mixed[keeping] = human.train[keeping]
        if protocol.retains == "fresh":
            start = sum(kept(rows, protocol, n) for n in range(1, number))
            mixed[keeping] = shuffled(human.unseen, protocol)[start : start + len(keeping)]
        return mixed
    pool = np.concatenate([human.train, *written])
    if protocol.regime == "accumulate":
        return pool
    random = np.random.default_rng(seed_of(protocol, number, "retention"))
    return pool[np.sort(random.permutation(len(pool))[: len(human.train)])]


def retained_rows(blocks: int, protocol: Protocol, generation: int) -> np.ndarray:
    """Which rows a generation fills with human text: sorted, drawn without replacement."""
    drawn_in = 1 if protocol.retains == "fixed" else generation
    random = np.random.default_rng(seed_of(protocol, drawn_in, "retention"))
    return np.sort(random.permutation(blocks)[: kept(blocks, protocol, generation)])


def kept(blocks: int, protocol: Protocol, generation: int) -> int:
    """How many of so many human blocks a generation keeps."""
    return round(blocks * protocol.share(generation))


def check_shares(blocks: int, protocol: Protocol) -> None:
    """Refuse a share of so many human blocks that comes to none or to all of them."""
    for generation in range(1, protocol.generations):
        share, number = protocol.share(generation), kept(blocks, protocol, generation)
        if 0 < share < 1 and number in (0, blocks):
            raise ProtocolError(
                f"retained={share!r} of {blocks} blocks comes to {number} of them, as if "
                f"it were {int(number > 0)}; give another share or more training blocks"
            )


def shuffled(blocks: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Human blocks that generation 0 has not seen, in an order that the seed decides.

    In the order of the text, the first of them would come from few articles; in one order for all
    seeds, runs would differ by less than the choice of text makes them.
    """
    return blocks[np.random.default_rng(protocol.seed).permutation(len(blocks))]


def starts_from_previous(protocol: Protocol, generation: int) -> bool:
    """Whether a generation's weights start from its predecessor's, not from the base model's."""
    return generation > 0 and (protocol.init == "previous" or mends(protocol, generation))


def mends(protocol: Protocol, generation: int) -> bool:
    """Whether a generation is its predecessor, trained further on unseen human text."""
    return protocol.recovery > 0 and generation == protocol.generations - 1


def seed_of(protocol: Protocol, generation: int, purpose: str) -> int:
    """A seed for one use of random numbers in one generation; arms of equal seed share it."""
    entropy = [protocol.seed, generation, PURPOSES.index(purpose)]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
