"""Ways of writing: the laws against closed forms and simulation, the grid, and the figures."""

import numpy as np
import pytest

import how_is_the_text_written as written
from collapse.experiment.arms import Run
from collapse.measure.per_seed import over_seeds
from toy_figures import assert_fit_to_publish
from toy_records import GROWING, STABLE, runs_of

WAYS = {
    "temperature 1": runs_of(STABLE, decoding="sample"),
    "top-p 0.9": runs_of(GROWING, decoding="sample", top_p=0.9),
    "temperature 0.7": runs_of(GROWING, decoding="sample", temperature=0.7),
    "five beams": runs_of(GROWING),
}
CELLS: dict[written.Cell, list[Run]] = {
    (t, p): runs_of({0: [20.0, 20.0 * t, 30.0 * t]}, decoding="sample", temperature=t, top_p=p)
    for t in (0.7, 0.85, 1.0, 1.2, 1.5)
    for p in (0.8, 0.9, 1.0)
}
MODELS = {"The small model": WAYS, "SmolLM2": {k: v for k, v in WAYS.items() if k[0] in "ft"}}
MAKERS = {
    "fig-writing": lambda: written.perplexity_figure(MODELS),
    "fig-writing-rare": lambda: written.rare_figure(MODELS, "temperature 1"),
    "fig-entropy-decoding": lambda: written.entropy_figure(WAYS),
    "fig-writing-grid": lambda: written.grid_figure(
        written.grid(CELLS), {0.8: 1.8, 0.9: 1.23, 0.95: 1.1, 1.0: 1.0}
    ),
}


def chain(states: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.dirichlet(np.ones(states)), random.dirichlet(np.ones(states), states)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.3])
def test_without_a_cut_a_row_is_a_power_of_itself(temperature: float) -> None:
    _, rows = chain()
    found, rounds = rows, 4
    for _ in range(rounds):
        found = written.sharpened(found, temperature, 1.0)
    powers = rows ** (temperature**-rounds)
    assert found == pytest.approx(powers / powers.sum(1, keepdims=True))


def test_a_cut_keeps_the_fewest_of_the_likeliest_that_hold_enough() -> None:
    _, rows = chain(30, seed=1)
    for row, cut in zip(rows, written.sharpened(rows, 1.0, 0.8), strict=True):
        kept, held = [], 0.0
        for at in sorted(range(len(row)), key=lambda at: -row[at]):
            if held >= 0.8:
                break
            kept.append(at)
            held += row[at]
        assert set(np.flatnonzero(cut)) == set(kept)
        assert cut[kept] == pytest.approx(row[kept] / held)


def test_entropy_ends_at_nothing_or_at_that_of_equal_shares() -> None:
    weights, rows = chain()
    before = -(weights * (rows * np.log2(rows)).sum(1)).sum()
    assert written.law(weights, rows, (0.5, 1.0), 40) == pytest.approx(0, abs=1e-9)
    assert written.law(weights, rows, (2.0, 1.0), 60) == pytest.approx(np.log2(12) / before)
    assert written.law(weights, rows, (1.0, 1.0), 5) == pytest.approx(1)


def test_on_the_border_heat_makes_up_for_the_cut() -> None:
    weights, rows = chain(40, seed=2)
    rows = rows**2 / (rows**2).sum(1, keepdims=True)
    border = written.border(weights, rows, [0.1, 0.9, 0.95, 1.0], 5)
    assert set(border) == {0.9, 0.95, 1.0}  # nothing makes up for a cut that leaves one word
    assert border[1.0] == pytest.approx(1, abs=2e-3)
    assert border[0.9] > border[0.95] > border[1.0]
    for cut in (0.9, 0.95):
        colder, hotter = ((border[cut] + off, cut) for off in (-0.05, 0.05))
        assert written.law(weights, rows, colder, 5) < 1 < written.law(weights, rows, hotter, 5)


def test_what_redrawing_leaves_is_what_redrawing_leaves() -> None:
    """The law against redrawing itself, of a text whose rare tokens are a small part of it."""
    (run,) = runs_of({0: [20.0, 21.0, 22.0, 23.0]}, decoding="sample")
    counts = np.array([2000, 1500, 900, 4, 3, 2, 1, 1])
    text = np.repeat(np.arange(8), counts)[:4408].reshape(-1, 8)
    rare = np.array([3, 4, 5, 6, 7])
    held = np.array([4000, 3000, 500, 2, 2, 2, 2, 2], np.int32)
    record = run.record
    record.arrays.update(
        text=np.stack([text] * 4).astype(np.uint16), held_out_counts=held,
        human_counts=held,
    )  # fmt: skip
    found = written.resampled([run])
    seen = np.bincount(text.ravel(), minlength=8)
    random, left = np.random.default_rng(0), np.zeros(4)
    chains = 4000
    for _ in range(chains):
        now = seen
        for n in range(4):
            left[n] += (now[record.facts()[0].rare] > 0).mean() / chains
            now = random.multinomial(seen.sum(), now / seen.sum())
    assert set(rare) <= set(record.facts()[0].rare)
    assert found == pytest.approx(left, abs=0.02)


def test_the_grid_has_a_row_a_cell_and_seed_and_means_on_the_log_scale() -> None:
    cells = {**CELLS, (1.0, 0.9): WAYS["top-p 0.9"]}
    found = written.grid(cells)
    assert len(found) == len(CELLS) + 2
    means = written.cell_means(found)
    ratio = over_seeds({s: v[-1] / v[0] for s, v in GROWING.items()}, ratio=True)
    assert means.perplexity[1.0, 0.9] == pytest.approx(ratio.mean)
    assert means.perplexity[1.2, 1.0] == pytest.approx(1.5 * 1.2)


def test_a_claim_s_verdict_flips_with_the_runs() -> None:
    def verdict(first: float, last: float) -> str:
        runs = runs_of({seed: [20.0, 21.0] for seed in range(3)})
        for run, noise in zip(runs, (0.99, 1.0, 1.01), strict=True):
            for column in ("predictive_entropy", "tail_coverage"):
                run.record.generations[column] = [first, last * noise]
        ways = dict.fromkeys(WAYS, runs)
        told = [claim.verdict for claim in written.claims(ways, runs, 1.5)]
        assert told[0] == told[1] == told[2] == told[4] != told[3]
        return told[0]

    assert (verdict(5, 3), verdict(3, 5)) == ("agrees", "disagrees")


@pytest.mark.parametrize("maker", MAKERS)
def test_a_figure_is_fit_to_publish(maker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_fit_to_publish(MAKERS[maker], monkeypatch, maker)
