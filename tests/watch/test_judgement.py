"""The judgement: against other libraries, by what it promises, and on real text."""

import itertools
import json
import math
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import integrate, stats
from scipy.spatial.distance import jensenshannon

from collapse.cli import main
from collapse.experiment import assets, corpus
from collapse.measure import metrics
from collapse.watch import TooLittleText, WatchError, judgement, watch
from collapse.watch.batches import GAUGES, measure, measured
from collapse.watch.judgement import compare, evidence, unit_size, unit_values

NAMES = list(GAUGES)


def of_random_words(seed: int, documents: int, kinds: int = 800, length: int = 100) -> list[str]:
    rng = random.Random(seed)
    word = [f"w{number}" for number in range(kinds)]
    return [
        " ".join(word[int(kinds * rng.random() ** 3)] for _ in range(length))
        for _ in range(documents)
    ]


REFERENCE = of_random_words(0, 100)

# -- the test --------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(20, 2), (6, 5), (20, 20), (25, 3)])
def test_changes_are_student_s_t_and_p_values_those_of_scipy_s_permutations(
    sizes: tuple[int, int],
) -> None:
    rng = np.random.default_rng(1)
    before, after = (rng.exponential(size=(size, 3)) for size in sizes)
    after[:, 1] += 1.5
    t, own, every, limit = compare(before, after, 0.01)
    expected = stats.ttest_ind(after, before)
    assert t == pytest.approx(expected.statistic)

    def statistic(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return np.abs(stats.ttest_ind(x, y, axis=axis).statistic)

    found = stats.permutation_test(
        (after.T, before.T), statistic, vectorized=True, axis=1, alternative="greater",
        n_resamples=9_999, rng=np.random.default_rng(2),
    )  # fmt: skip
    exact = math.comb(sum(sizes), sizes[1]) <= 9_999
    close = 1e-12 if exact else 0.02
    assert own == pytest.approx(found.pvalue, abs=close)
    largest = found.null_distribution.max(1 if found.null_distribution.shape[1] == 3 else 0)
    by_scipy = (largest[:, None] >= np.abs(t) * (1 - 1e-9)).mean(0)
    assert every == pytest.approx(by_scipy, abs=close)
    assert ((np.abs(t) > limit * (1 + 1e-9)) == (every <= 0.01)).all()


def test_columns_that_do_not_vary_do_not_ring() -> None:
    t, own, every, _ = compare(np.ones((20, 2)), np.ones((20, 2)), 0.01)
    assert not t.any() and (own == 1).all() and (every == 1).all()


def test_it_rings_at_its_rate_whatever_the_distribution() -> None:
    rng = np.random.default_rng(3)
    heavy = np.exp(2 * rng.normal(size=(1000, 23, 3)))  # one unit in twenty is enormous
    heavy[:, :, 2] = rng.random((1000, 23)) < 0.05  # and one column is nearly always zero
    rings = sum(compare(one[:20], one[20:], 0.05)[2].min() <= 0.05 for one in heavy)
    assert stats.binomtest(rings, 1000, 0.05, "greater").pvalue > 0.001
    assert rings > 20  # it is not silent, either


def test_evidence_is_the_calibrator_s_integral_and_its_mean_is_one() -> None:
    for p in (1e-4, 0.03, 0.5, 0.99):
        integral, _ = integrate.quad(lambda k, p=p: k * p ** (k - 1), 0, 1)
        assert evidence(p) == pytest.approx(integral)
    assert evidence(1.0) == pytest.approx(evidence(1 - 1e-6), abs=1e-4)
    logs = np.linspace(-700, 0, 2_000_001)[:-1]  # of p, whose integral is that of p e(p) over log p
    p = np.exp(logs)
    values = (1 - p + p * logs) / logs**2
    tail = 1 / 700  # of smaller p, where p e(p) is 1 / (log p)^2
    assert np.trapezoid(values, logs) + tail == pytest.approx(1, abs=1e-3)


def test_units_are_as_many_batches_as_the_rate_allows() -> None:
    assert unit_size(20, 2, 0.01, 5000) == 1
    assert unit_size(400, 400, 0.01, 5000) == 20
    size = unit_size(400, 20, 0.01, 5000)
    assert math.comb(400 // size + 20 // size, 20 // size) >= 100 and 400 // size >= 20
    with pytest.raises(TooLittleText, match="reference gives 19 batches of 5000 words where 20"):
        unit_size(19, 50, 0.01, 5000)
    with pytest.raises(TooLittleText, match=r"new text gives 1 batches .* where 2 are needed"):
        unit_size(20, 1, 0.01, 5000)
    assert unit_size(99, 1, 0.01, 5000) == 1  # one in a hundred is the least p-value there
    with pytest.raises(TooLittleText, match="gives 0 batches"):
        unit_size(99, 0, 0.01, 5000)


# -- units of text ---------------------------------------------------------------------------


def test_the_divergence_is_scipy_s_from_the_reference_without_the_unit() -> None:
    known, new = measured(REFERENCE, 200), measured(of_random_words(1, 20), 200)
    words = [" ".join(REFERENCE[at : at + 2]).split() for at in range(0, 100, 2)]
    rest = [word for number, batch in enumerate(words) if number != 1 for word in batch]
    kinds = sorted(set(rest) | set(words[1]))
    counts = [[text.count(kind) for kind in kinds] for text in (words[1], rest)]
    found = unit_values(known, known, 1)[1, NAMES.index("divergence")]
    assert math.exp(found) == pytest.approx(jensenshannon(*counts, base=2) ** 2)
    assert unit_values(new, known, 3).shape == (3, 7)
    pair = unit_values(known, known, 2)
    assert pair[:, 0] == pytest.approx(unit_values(known, known, 1)[:, 0].reshape(-1, 2).mean(1))


def test_gauges_are_those_of_the_batch() -> None:
    known = measured(REFERENCE, 200)
    batch = measure([REFERENCE[0].split(), REFERENCE[1].split()])
    assert known.batches[0].values == pytest.approx(batch.values)
    counts = np.unique(" ".join(REFERENCE[:2]).split(), return_counts=True)[1]
    assert batch.values[NAMES.index("word_entropy")] == pytest.approx(metrics.chao_shen(counts))


# -- whole comparisons -----------------------------------------------------------------------


def test_the_same_source_is_quiet_and_the_report_says_all() -> None:
    report = watch(REFERENCE, of_random_words(1, 60), batch=200)
    assert not report.alarm and report.sentence.startswith("Quiet") and str(report)
    assert all(not one.alarm for one in report.gauges) and report.p_value > 0.01
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert [one["gauge"] for one in data["gauges"]] == NAMES
    assert data["texts"]["reference"] == {
        "documents": 100, "words": 10_000, "step": 1, "batches": 50, "units": 25,
    }  # fmt: skip
    assert watch(REFERENCE, of_random_words(1, 60), batch=200).to_dict() == report.to_dict()


def test_fewer_words_ring_as_in_a_collapse_and_the_other_way_round_they_do_not() -> None:
    fewer = of_random_words(2, 60, kinds=500)
    report = watch(REFERENCE, fewer, batch=200)
    moved = {one.gauge: one.as_in_collapse for one in report.gauges if one.alarm}
    assert report.alarm and moved["distinct_words"] and moved["word_entropy"]
    assert "as in a collapse: distinct words" in report.sentence
    back = watch(of_random_words(2, 100, kinds=500), of_random_words(0, 60), batch=200)
    moved = {one.gauge: one.as_in_collapse for one in back.gauges if one.alarm}
    assert back.alarm and not moved["distinct_words"] and "the other way" in back.sentence


def test_duplicated_documents_ring() -> None:
    fresh = of_random_words(3, 60)
    twice = [one for pair in zip(fresh, fresh, strict=True) for one in pair][:60]
    report = watch(of_random_words(0, 100), twice, batch=200)
    by_name = {one.gauge: one for one in report.gauges}
    assert by_name["near_duplicates"].alarm and by_name["near_duplicates"].value == 1
    assert by_name["near_duplicates"].ratio is None  # of a reference that has none
    assert by_name["repeated_fours"].alarm and "None" not in str(report)


def test_a_sorted_reference_is_said_to_be_one() -> None:
    kinds = np.linspace(200, 900, 100).astype(int)
    ordered = [of_random_words(n, 1, kind)[0] for n, kind in enumerate(kinds)]
    assert judgement.ALIKE in watch(ordered, REFERENCE, batch=200).notes
    assert judgement.ALIKE not in watch(REFERENCE, ordered, batch=200).notes


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(TooLittleText, match="the reference gives 5 batches"):
        watch(REFERENCE[:10], REFERENCE, batch=200)
    with pytest.raises(TooLittleText, match="smaller --batch"):
        watch(REFERENCE, [], batch=200)
    for wrong in ({"rate": 0.0}, {"rate": 1.0}, {"batch": 3}, {"margin": -1.0}):
        with pytest.raises(WatchError, match="give a rate"):
            watch(REFERENCE, REFERENCE, **wrong)  # type: ignore[arg-type]


def test_no_torch_and_no_experiment_are_needed() -> None:
    code = (
        "import sys, collapse.watch; "
        "print([name for name in ('torch', 'transformers', 'collapse.experiment') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


# -- real text -------------------------------------------------------------------------------

CACHE = assets.cache_dir()  # the ordinary one: a test has its own


@pytest.fixture(scope="module")
def wikitext() -> list[str]:
    """The articles of WikiText-2's test and validation text."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLLAPSE_CACHE", str(CACHE))
        splits = corpus.load_text("wikitext2").splits
    lines = splits["test"] + splits["valid"]
    starts = [n for n, line in enumerate(lines) if re.fullmatch(r" = [^=].*[^=] = \n", line)]
    texts = ["".join(lines[a:b]) for a, b in itertools.pairwise([*starts, len(lines)])]
    assert len(texts) > 100
    return texts


def test_halves_of_wikitext_ring_no_more_often_than_promised(
    wikitext: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is an article's first 300 words, so batches can be measured once and then halved."""
    monkeypatch.setattr(judgement, "DEALS", 499)
    batches = measured(wikitext, 300).batches
    rng, rings = np.random.default_rng(0), 0
    for _ in range(200):
        dealt = [batches[at] for at in rng.permutation(len(batches))]
        middle = len(dealt) // 2
        known, new = (judgement.Measured(part) for part in (dealt[:middle], dealt[middle:]))
        rings += judgement._judged(known, new, 0.05, 0.05, 300, None).alarm
    assert stats.binomtest(rings, 200, 0.05, "greater").pvalue > 0.01


def test_another_subject_rings(wikitext: list[str]) -> None:
    addresses = ["".join(lines) for lines in corpus._addresses()[:60]]
    report = watch(wikitext, addresses, batch=300)
    assert report.alarm
    assert not watch(wikitext[::2], wikitext[1::2], batch=300).alarm


def test_the_command_writes_the_report(tmp_path: Path) -> None:
    for name, texts in {"old": REFERENCE, "same": of_random_words(1, 60),
                        "few": of_random_words(2, 60, 400)}.items():  # fmt: skip
        lines = [json.dumps({"text": text}) + "\n" for text in texts]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))

    def run(*arguments: str) -> tuple[int, str]:
        given = [str(tmp_path / one) if one.endswith(".jsonl") else one for one in arguments]
        done = CliRunner().invoke(main, ["watch", *given])
        return done.exit_code, done.output

    options = ("--batch", "200", "--json", str(tmp_path / "report.json"))
    status, told = run("old.jsonl", "same.jsonl", *options)
    assert (status, told.splitlines()[0][:6]) == (0, "Quiet:")
    assert json.loads((tmp_path / "report.json").read_text())["alarm"] is False
    status, told = run("old.jsonl", "few.jsonl", "--batch", "200")
    assert (status, told.splitlines()[0][:6]) == (1, "ALARM,")
    status, told = run("old.jsonl", "few.jsonl")
    assert status == 3 and told.startswith("Cannot judge: the reference gives 2 batches")
    status, told = run("old.jsonl", "none.jsonl")
    assert status == 2 and "there is no file or folder" in told and "Traceback" not in told
