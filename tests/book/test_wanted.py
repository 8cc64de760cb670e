"""The runs that chapters ask for: what their cells compute, each once, the most valuable first."""

import pytest

import retention
from collapse.book import chapter
from collapse.experiment import loop
from collapse.experiment.protocol import Arm, Protocol
from toy_records import make_record


@pytest.mark.parametrize("scale", chapter.SCALES)
@pytest.mark.parametrize("name", chapter.names())
def test_the_arms_of_a_chapter_are_what_its_cells_ask_for(
    monkeypatch: pytest.MonkeyPatch, name: str, scale: str
) -> None:
    values = chapter.settings(name, scale, {})
    expected = list(chapter.arms(name, values).values())
    asked = []
    arm = loop.arm

    def noting(wanted: Arm, scale: str = "paper", *observer: object) -> list[loop.Run]:
        asked.append(wanted)
        return arm(wanted, scale)

    monkeypatch.setattr(loop, "arm", noting)
    monkeypatch.setattr(loop, "run", lambda protocol, scale, *_: make_record(protocol, scale=scale))
    # Asks for the runs of other scales.
    monkeypatch.setattr(chapter, "front", lambda name, scale, protocol, runs: (runs, {}))
    namespace = dict(values)
    code = [cell.source for cell in chapter.read(name).cells if cell.cell_type == "code"]
    for source in code[1 : 3 if expected else 1]:
        exec(source, namespace)
    assert asked == expected
    assert bool(expected) == ("compute" in values)


def test_a_chapter_s_arms_follow_its_parameters() -> None:
    values = chapter.settings("no-retention", "laptop", {"seeds": "[5, 4]", "retained": "0.2"})
    arms = chapter.arms("no-retention", values)
    assert [(run.seed, run.retained) for run in arms["own"].runs()] == [
        (0, 0.2), (4, 0.2), (5, 0.2),
    ]  # fmt: skip
    values = chapter.settings("no-retention", "laptop", {"decoding": "beam"})
    assert list(chapter.arms("no-retention", values)) == ["own"]


def test_every_missing_run_of_the_chapters_is_wanted_once() -> None:
    both = ["no-retention", "ten-percent-retention"]
    found = chapter.wanted(both, "laptop", {"compute": "all"})
    # Two settings times two numbers of epochs, three seeds each.
    assert len(found) == len({run.hash for run in found}) == 4 * 3
    assert {(run.epochs, run.retained) for run in found} == {(5, 0), (10, 0), (5, 0.1), (10, 0.1)}
    # One domain and two shares; two temperatures and beams, and twelve further cells of the grid.
    every = chapter.wanted([], "laptop", {"compute": "all"})
    # Three pools, a fixed and a fresh share; five more shares; three amounts after none and after
    # four rounds of collapse: the other arms of these two chapters are those of the ones before.
    assert (
        len(every) == len({run.hash for run in every}) == len(found) + (6 + 5 + 5 + 6) * 3 + 12 + 50
    )
    # The 50: a null of eight seeds; five doses, a ramp, two of another subject, another writing and
    # the same text, three seeds each; three readings of the web with their control, likewise.
    assert 50 == 8 + (5 + 1 + 2 + 1 + 1) * 3 + (3 + 1) * 3
    assert {run.corpus for run in every} == {"wikitext2", "sotu"}
    assert {run.retained for run in every} == {0, 0.1, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 1}
    assert {run.recovery for run in every} == {0, 64, 256, 512}
    assert {run.temperature for run in every} == {0.7, 0.85, 1.0, 1.2, 1.5}
    assert chapter.wanted([], "laptop", {"compute": "none"}) == []
    assert chapter.wanted(["index"], "laptop", {}) == []


def test_the_settings_of_the_paper_come_first_seed_after_seed() -> None:
    names = list(retention.SETTINGS)
    runs = chapter.wanted(names, "paper", {"compute": "all"})
    own = [chapter.settings(name, "paper", {}) for name in names]
    settings = [Protocol.among(values).arm_hash for values in own]
    assert [run.seed for run in runs[:10]] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert {run.arm_hash for run in runs[:10]} == set(settings)
    assert not {run.arm_hash for run in runs[10:]} & set(settings)
    assert [run.seed for run in runs[10:]] == sorted(run.seed for run in runs[10:])
