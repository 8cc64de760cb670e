"""What runs say over seeds, by hand."""

import math

import numpy as np
import pytest

from collapse.book import ratios
from toy_records import GROWING, STABLE, runs_of


def test_a_ratio_is_last_over_first_with_students_interval() -> None:
    found = ratios.ratio(runs_of(GROWING))
    assert found.by_seed == pytest.approx({0: 1.4, 1: 1.6, 2: 1.5})
    middle = (1.4 * 1.6 * 1.5) ** (1 / 3)
    assert found.mean == pytest.approx(middle)
    spread = np.std(np.log([1.4, 1.6, 1.5]), ddof=1)
    factor = math.exp(4.302653 * spread / math.sqrt(3))  # t of 2 degrees of freedom at 0.975
    assert (found.low, found.high) == pytest.approx((middle / factor, middle * factor))
    assert str(found) == f"1.50 [{middle / factor:.2f}, {middle * factor:.2f}]"
    assert ratios.ratio(runs_of(GROWING), generation=1).by_seed[0] == pytest.approx(1.2)


def test_a_ratio_says_so_where_seeds_are_missing() -> None:
    assert str(ratios.ratio([])) == "not run yet"
    assert str(ratios.ratio(runs_of({0: [20.0, 28.0]}))) == "1.40 (one seed, no interval)"


def test_pairs_are_made_of_equal_seeds_alone() -> None:
    found = ratios.paired(runs_of(GROWING), runs_of(STABLE))
    assert found.by_seed == pytest.approx({0: 1.4 / 1.0, 1: 1.6 / 0.8})
    assert found.mean == pytest.approx(math.sqrt(1.4 * 2.0))
    assert str(ratios.paired(runs_of(GROWING), [])) == "not run yet"


def test_the_table_holds_every_row_of_every_seed() -> None:
    table = ratios.table(runs_of(GROWING))
    assert table[["seed", "generation"]].values.tolist() == [
        [seed, generation] for seed in GROWING for generation in range(3)
    ]
    assert table["ratio"].tolist() == pytest.approx([1, 1.2, 1.4, 1, 1.2, 1.6, 1, 1.1, 1.5])


def test_a_ratio_can_be_of_any_two_generations_and_minutes_are_those_of_the_records() -> None:
    found = ratios.ratio(runs_of(GROWING), over=-2)
    assert found.by_seed == pytest.approx({0: 28 / 24, 1: 16 / 12, 2: 60 / 44})
    assert str(ratios.minutes(runs_of({0: [20.0] * 40, 1: [20.0] * 80}))) == "1 to 2"  # 1.5 s each
    assert str(ratios.minutes([])) == "not run yet"
