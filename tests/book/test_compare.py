"""A rerun beside the published runs: when it agrees, when it differs, when nothing can be said."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from collapse import cli
from collapse.book import compare
from collapse.experiment import assets, records
from collapse.experiment.protocol import Protocol
from collapse.experiment.record import Record
from toy_records import make_record

BASE = Protocol(generations=3, decoding="sample", model="tiny")


def record(seed: int, shift: float = 0.0, **changes: Any) -> Record:
    """A run whose every measure is 10 with a little noise of its seed, plus a shift."""
    made = make_record(BASE.replace(seed=seed, **changes))
    random = np.random.default_rng(seed)
    for column, _ in compare.MEASURES.values():
        made.generations[column] = 10 + 0.1 * random.standard_normal(3) + shift * np.arange(1, 4)
    return made


PUBLISHED = [record(seed) for seed in range(4)]


def test_another_seed_of_the_same_protocol_agrees() -> None:
    found = compare.compare(record(7), PUBLISHED)
    assert (found.verdict, found.differing) == ("agrees", {})
    assert found.sentence.startswith("agrees within the spread: 6 measures lie where one more of 4")


def test_a_rerun_with_another_parameter_and_other_numbers_differs_and_names_it() -> None:
    found = compare.compare(record(7, shift=9.0, epochs=1), PUBLISHED)
    assert found.verdict == "differs"
    assert found.differing == {"epochs": (1, 5)}
    assert "parameters differ in epochs=1 (published: 5)" in found.sentence
    assert "distinct tokens, last" in found.sentence


def test_equal_numbers_agree_although_a_parameter_differs_and_the_sentence_says_so() -> None:
    found = compare.compare(record(7, epochs=1), PUBLISHED)
    assert found.verdict == "agrees"
    assert "although parameters differ in epochs=1" in found.sentence


def test_other_numbers_without_another_parameter_are_said_to_be_strange() -> None:
    found = compare.compare(record(7, shift=9.0), PUBLISHED)
    assert found.verdict == "differs" and found.sentence.endswith("; no parameter differs")


@pytest.mark.parametrize("change", [{"corpus": "sotu"}, {"model": "mini"}, {"train_blocks": 9}])
def test_other_text_or_another_model_cannot_be_compared(change: dict[str, Any]) -> None:
    found = compare.compare(record(7, **change), PUBLISHED)
    [name] = change
    assert found.verdict == "not comparable" and f"{name}={change[name]}" in found.why
    assert found.lines == []


def test_nothing_or_one_run_to_compare_with_leaves_it_open() -> None:
    assert compare.compare(record(7), []).sentence == "not comparable: there is no published run"
    alone = compare.compare(record(7), PUBLISHED[:1])
    assert alone.verdict == "not comparable" and len(alone.lines) == 6
    assert "unknown" in compare.told(alone) and "nan" not in compare.told(alone)


def test_the_same_bits_are_recognised() -> None:
    found = compare.compare(PUBLISHED[2], PUBLISHED)
    assert found.verdict == "agrees"
    assert found.why == f"bit for bit the published run {PUBLISHED[2].name}"


def test_a_shorter_chain_is_compared_with_the_beginning_of_the_longer_ones() -> None:
    short = record(7).truncated(2)
    found = compare.compare(short, PUBLISHED)
    line = next(line for line in found.lines if line.measure == "test perplexity, last ÷ first")
    values = short.generations["test_perplexity"]
    assert line.mine == pytest.approx(values[1] / values[0])
    first = PUBLISHED[0].generations["test_perplexity"]
    assert line.published[0] == pytest.approx(first[1] / first[0])


def test_equal_text_under_another_name_is_the_same_quantity() -> None:
    names = ("a.txt@0123456789ab", "b.txt@0123456789ab", "a.txt@ba9876543210")
    published = [record(seed, corpus=names[0]) for seed in range(4)]
    assert compare.compare(record(7, corpus=names[1]), published).verdict == "agrees"
    assert compare.compare(record(7, corpus=names[2]), published).verdict == "not comparable"


def test_a_further_seed_of_a_committed_arm_rarely_differs() -> None:
    """Leave one out: a faithful further seed is told to differ in about one of twenty cases."""
    arms = [runs for runs in compare.arms(assets.ROOT / "records") if len(runs) >= 3]
    told = []
    for arm in arms:
        for left_out in arm:
            rest = [run for run in arm if run is not left_out]
            published = [rest if runs is arm else runs for runs in arms]
            found = compare.compare(left_out, rest, compare.alike(left_out, published))
            told.append(not all(line.inside for line in found.lines))
    print(f"leave one out: {sum(told)} of {len(told)} differ")
    assert len(told) >= 60
    assert stats.binomtest(sum(told), len(told), 0.05, alternative="greater").pvalue > 0.05


def test_a_number_that_one_side_lacks_differs() -> None:
    bad = record(7)
    rows = bad.generations.assign(overconfidence=math.nan)
    without = dataclasses.replace(bad, table=rows)
    found = compare.compare(without, PUBLISHED)
    assert found.verdict == "differs" and "over-confidence gap, last" in found.why
    theirs = [
        dataclasses.replace(run, table=run.generations.assign(overconfidence=math.nan))
        for run in PUBLISHED
    ]
    assert "over-confidence" in compare.compare(bad, theirs).why
    assert "over-confidence" not in compare.compare(without, theirs).why


def test_arms_of_the_same_text_and_writing_lend_their_spread() -> None:
    published = [PUBLISHED, [record(s, epochs=9) for s in range(3)]]
    foreign = [[record(0, corpus="sotu")], [record(0, top_p=0.5)]]
    assert compare.alike(PUBLISHED[0], [*published, *foreign]) == published
    few = PUBLISHED[:3]
    alone, pooled = compare.compare(record(7), few), compare.compare(record(7), few, published[1:])
    assert all(
        one.high - one.low > two.high - two.low
        for one, two in zip(alone.lines, pooled.lines, strict=True)
    )


def test_the_nearest_arm_has_the_fewest_other_parameters(tmp_path: Path) -> None:
    for made in (record(0), record(1), record(0, epochs=9), record(0, corpus="sotu")):
        records.write(made, tmp_path)
    stored = compare.arms(tmp_path)
    near = compare.nearest(BASE.replace(epochs=9, lr=1e-3, seed=5), stored)
    assert [run.protocol.epochs for run in near] == [9]
    assert compare.nearest(BASE.replace(epochs=8), stored)[0].protocol.epochs == 9
    near = compare.nearest(BASE.replace(epochs=3, generations=2), stored)
    assert [run.protocol.seed for run in near] == [0, 1]
    near = compare.nearest(BASE.replace(corpus="sotu", epochs=9), stored)
    assert near[0].protocol.corpus == "sotu"  # a text weighs more than a number
    assert compare.nearest(BASE, compare.arms(tmp_path / "nothing")) == []


# -- the command -----------------------------------------------------------------------------


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "published"
    for made in PUBLISHED:
        records.write(made, folder)
    monkeypatch.setattr(records, "published", lambda: folder)
    return folder


@pytest.mark.parametrize(
    ("made", "status", "said"),
    [
        (record(7), 0, "agrees within the spread"),
        (record(7, shift=9.0, epochs=1), 1, "epochs = 1 (published: 5)"),
        (record(7, corpus="sotu"), 3, "not comparable"),
    ],
)
def test_the_command_says_it_shows_it_and_exits_with_it(
    published: Path, made: Record, status: int, said: str
) -> None:
    path = records.write(made, records.built())
    done = CliRunner().invoke(cli.main, ["compare", str(path)])
    assert done.exit_code == status, done.output
    assert said in done.output
    page = assets.build_dir() / "comparisons" / f"{made.name}.html"
    text = page.read_text(encoding="utf-8")
    assert page.resolve().as_uri() in done.output
    assert said.split(" = ")[0] in text and "<svg" in text and "http-equiv" not in text


def test_two_records_are_compared_by_name(published: Path) -> None:
    names = [run.name for run in PUBLISHED[:2]]
    done = CliRunner().invoke(cli.main, ["compare", *names])
    assert done.exit_code == 3 and "1 published run(s) do not say" in done.output
    done = CliRunner().invoke(cli.main, ["compare", "nothing"])
    assert done.exit_code == 2 and "there is no record 'nothing'" in done.output


def test_a_chapter_without_runs_of_its_own_has_nothing_to_compare(published: Path) -> None:
    for name in ("why-tails-vanish", "no-retention"):
        done = CliRunner().invoke(cli.main, ["compare", name])
        assert done.exit_code == 3 and "nothing to compare" in done.output


def test_a_mended_run_is_compared_with_one_of_as_many_rounds() -> None:
    def arm(generations: int) -> list[Record]:
        protocol = Protocol(generations=generations, train_blocks=9, recovery=8)
        return [make_record(protocol.replace(seed=seed)) for seed in range(3)]

    early, late = arm(2), arm(6)
    mine = make_record(late[0].protocol.replace(seed=7))
    assert compare.nearest(mine.protocol, [early, late]) == late
    assert compare.nearest(mine.protocol, [late, early]) == late
    assert "generations" in compare.compare(mine, early).differing
    assert "generations" not in compare.compare(mine, late).differing
