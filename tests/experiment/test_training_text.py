"""What each generation is trained on, against brute force."""

import dataclasses

import numpy as np
import pytest

from collapse.experiment import corpus, observation, training_text
from collapse.experiment.protocol import Protocol

BLOCKS = 50
HUMAN = np.arange(BLOCKS * 4, dtype=np.int32).reshape(BLOCKS, 4)
UNSEEN = HUMAN + 100_000
OTHER = np.concatenate([HUMAN + 200_000, HUMAN + 300_000])
CORPUS = corpus.Blocks(
    train=HUMAN, valid=HUMAN[:0], test=HUMAN[:0], following=HUMAN, unseen=UNSEEN, other=OTHER
)


def written_by(generation: int) -> np.ndarray:
    """Blocks that occur nowhere else: generation 1 writes 1000, 1001, ..."""
    return HUMAN + 1000 * (generation + 1)


WRITTEN = [written_by(n) for n in range(6)]


def kept_rows(mixed: np.ndarray, synthetic: np.ndarray) -> list[int]:
    """Rows that are human; every other one must be the synthetic one at the same place."""
    assert mixed.shape == HUMAN.shape
    kept = []
    for row in range(BLOCKS):
        if mixed[row].tolist() == HUMAN[row].tolist():
            kept.append(row)
        else:
            assert mixed[row].tolist() == synthetic[row].tolist()
    return kept


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.333, 0.5, 1.0])
@pytest.mark.parametrize("generation", [1, 2, 5])
def test_exactly_the_retained_share_is_human_and_in_its_own_place(
    share: float, generation: int
) -> None:
    protocol = Protocol(retained=share)
    mixed = training_text.training_blocks(CORPUS, WRITTEN[:generation], protocol)
    assert len(kept_rows(mixed, WRITTEN[generation - 1])) == round(share * BLOCKS)


def test_the_retained_rows_are_drawn_anew_by_generation_and_by_seed() -> None:
    drawn = {
        (seed, generation): tuple(
            kept_rows(
                training_text.training_blocks(
                    CORPUS, WRITTEN[:generation], Protocol(retained=0.2, seed=seed)
                ),
                WRITTEN[generation - 1],
            )
        )
        for seed in (0, 1, 2)
        for generation in (1, 2, 3, 4, 5)
    }
    assert len(set(drawn.values())) == len(drawn)
    assert len({row for rows in drawn.values() for row in rows}) > BLOCKS * 0.8


def test_every_row_is_as_likely_to_be_retained() -> None:
    draws = 400
    counts = np.zeros(BLOCKS)
    for seed in range(draws):
        counts[training_text.retained_rows(BLOCKS, Protocol(retained=0.2, seed=seed), 1)] += 1
    # Each count is about Binomial(400, 0.2): mean 80, standard deviation 8. Five of these.
    assert counts.sum() == draws * 10
    assert counts.min() > 40 and counts.max() < 120


def test_fixed_rows_are_the_same_in_every_generation_and_others_for_another_seed() -> None:
    def rows(generation: int, seed: int) -> list[int]:
        protocol = Protocol(retained=0.2, retains="fixed", seed=seed)
        mixed = training_text.training_blocks(CORPUS, WRITTEN[:generation], protocol)
        return kept_rows(mixed, WRITTEN[generation - 1])

    assert rows(1, 0) == rows(2, 0) == rows(5, 0)
    assert len(rows(1, 0)) == 10
    assert rows(1, 0) != rows(1, 1)


def test_fresh_blocks_were_never_seen_before_and_are_as_many() -> None:
    protocol = Protocol(train_blocks=BLOCKS, retained=0.2, retains="fresh", generations=6)
    seen: list[tuple[int, ...]] = []
    for generation in range(1, 6):
        mixed = training_text.training_blocks(CORPUS, WRITTEN[:generation], protocol)
        fresh = [tuple(row) for row in mixed.tolist() if row in UNSEEN.tolist()]
        assert len(fresh) == 10
        rest = [row for row in mixed.tolist() if row not in UNSEEN.tolist()]
        assert all(row in WRITTEN[generation - 1].tolist() for row in rest)
        seen += fresh
    assert len(set(seen)) == len(seen) == protocol.unseen


def test_only_the_last_generation_of_a_recovery_is_trained_on_unseen_blocks() -> None:
    protocol = Protocol(train_blocks=BLOCKS, recovery=7, generations=4)
    before = training_text.training_blocks(CORPUS, WRITTEN[:2], protocol)
    assert np.array_equal(before, WRITTEN[1])
    last = training_text.training_blocks(CORPUS, WRITTEN[:3], protocol)

    def in_order(seed: int) -> np.ndarray:  # drawn as `corpus` once drew it for all seeds
        return np.random.default_rng(seed).permutation(UNSEEN)

    assert np.array_equal(last, in_order(0)[:7])
    other = training_text.training_blocks(CORPUS, WRITTEN[:3], protocol.replace(seed=1))
    assert np.array_equal(other, in_order(1)[:7]) and not np.array_equal(other, last)
    assert [training_text.starts_from_previous(protocol, n) for n in range(4)] == [False] * 3 + [
        True
    ]
    # With fresh text before it, the blocks that mend were not seen either.
    both = protocol.replace(retained=0.2, retains="fresh")
    last = training_text.training_blocks(CORPUS, WRITTEN[:3], both)
    assert np.array_equal(last, in_order(0)[20:27]) and both.unseen == 27


def test_a_schedule_gives_each_generation_its_share_and_no_fresh_block_comes_twice() -> None:
    shares = (1.0, 0.9, 0.4)
    protocol = Protocol(train_blocks=BLOCKS, schedule=shares, retains="fresh", generations=6)
    unseen = np.arange(4 * 200, dtype=np.int32).reshape(200, 4) + 100_000
    long = dataclasses.replace(CORPUS, unseen=unseen)
    seen: list[tuple[int, ...]] = []
    for generation in range(1, 6):
        mixed = training_text.training_blocks(long, WRITTEN[:generation], protocol)
        fresh = [tuple(row) for row in mixed.tolist() if row in unseen.tolist()]
        assert len(fresh) == BLOCKS * shares[min(generation, 3) - 1]  # the last share goes on
        seen += fresh
    assert protocol.unseen == len(set(seen)) == len(seen) == 50 + 45 + 3 * 20


def test_what_is_not_kept_may_be_human_text_on_another_subject() -> None:
    protocol = Protocol(retained=0.6, replaced_by="other-subject")
    found = [training_text.training_blocks(CORPUS, WRITTEN[:n], protocol) for n in (1, 2)]
    others = []
    for mixed in found:
        other = [tuple(row) for row in mixed.tolist() if row in OTHER.tolist()]
        assert len(other) == BLOCKS * 0.4
        assert sum(row in HUMAN.tolist() for row in mixed.tolist()) == BLOCKS * 0.6
        others += other
    assert len(set(others)) == len(others)  # each generation has others


def test_mixing_leaves_the_written_text_as_it_was() -> None:
    before = WRITTEN[0].copy()
    training_text.training_blocks(CORPUS, WRITTEN[:1], Protocol(retained=0.5))
    assert np.array_equal(WRITTEN[0], before)


@pytest.mark.parametrize("regime", ["replace", "accumulate", "accumulate-subsample"])
def test_generation_0_is_trained_on_human_text_alone(regime: str) -> None:
    assert np.array_equal(training_text.training_blocks(CORPUS, [], Protocol(regime=regime)), HUMAN)


def test_accumulating_keeps_all_text_so_far() -> None:
    pool = training_text.training_blocks(CORPUS, WRITTEN[:3], Protocol(regime="accumulate"))
    assert np.array_equal(pool, np.concatenate([HUMAN, *WRITTEN[:3]]))


def test_subsampling_draws_from_all_text_so_far_without_repeating_a_block() -> None:
    pool = {row.tobytes() for row in np.concatenate([HUMAN, *WRITTEN[:4]])}
    shares, seen = [], set()
    for seed in range(30):
        protocol = Protocol(regime="accumulate-subsample", seed=seed)
        drawn = training_text.training_blocks(CORPUS, WRITTEN[:4], protocol)
        rows = {row.tobytes() for row in drawn}
        assert drawn.shape == HUMAN.shape
        assert len(rows) == BLOCKS and rows <= pool
        shares.append(observation.human_blocks(drawn, HUMAN) / len(drawn))
        seen.add(drawn.tobytes())
    assert len(seen) == 30
    assert 0.12 < np.mean(shares) < 0.28  # one part in five is human


def test_every_purpose_generation_and_seed_has_random_numbers_of_its_own() -> None:
    seeds = [
        training_text.seed_of(Protocol(seed=seed), generation, purpose)
        for seed in range(5)
        for generation in range(5)
        for purpose in ("training", "writing", "retention")
    ]
    assert len(set(seeds)) == len(seeds) == 75
