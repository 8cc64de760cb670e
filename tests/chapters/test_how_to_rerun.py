"""What the page for rerunners says: how to begin, how long, how a run ends, and every parameter."""

import ast
import re
import shlex
import statistics
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import how_to_rerun as guide
from collapse import cli
from collapse.book import chapter, compare
from collapse.cli.options import pairs
from collapse.errors import Exit
from collapse.experiment import records
from toys import make_book, publish


def cells(table: str) -> list[list[str]]:
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def read(value: str) -> Any:
    """A value as Python has it, a word as itself."""
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value


def counted(spans: str) -> set[int]:
    ends = [[int(end) for end in span.split("–")] for span in spans.split(", ")]
    return {n for each in ends for n in range(each[0], each[-1] + 1)}


# -- parameters ------------------------------------------------------------------------------


def test_each_parameter_of_each_chapter_stands_in_one_row_with_both_values() -> None:
    rows = guide.rows()
    numbered = {page: n for n, page in enumerate(chapter.pages())}
    stated = 0
    for name in chapter.names():
        both = [chapter.settings(name, scale, {}) for scale in ("paper", "laptop")]
        here = numbered[f"chapters/{name}"]
        for key in chapter.parameters(name).keys() - {"scale"}:
            [row] = (
                one for one in rows if one["parameter"] == key and here in counted(one["chapters"])
            )
            usual, small = (values[key] for values in both)
            stated += 1
            assert row["what it is"]
            shown = row["paper"], row["laptop"] or row["paper"]
            assert [read(one) for one in shown] == [usual, small]
    assert stated == sum(len(counted(row["chapters"])) for row in rows) > 100


def test_a_range_and_a_unit_are_those_that_are_checked() -> None:
    # Of a parameter whose value differs between chapters, the first row.
    rows = {row["parameter"]: list(row.values()) for row in reversed(guide.rows())}
    assert rows["decoding"][1:5] == ["way of writing", "beam", "sample", "beam, sample, greedy"]
    assert rows["init"][1] == "start of each generation"  # and not its choices once more
    assert rows["top_p"][2:5] == ["1.0", "0.9", "0.01 to 1"]
    assert rows["lr"][1].endswith("(per step of AdamW)")
    assert rows["cats"][1] == "cats in a herd"  # and not: (cats)


def test_numbers_that_follow_one_another_are_told_by_their_ends() -> None:
    assert guide._spans([1, 2, 4, 5, 6, 9]) == "1, 2, 4–6, 9"


# -- commands --------------------------------------------------------------------------------


def test_the_book_is_fetched_from_where_it_is_published(root: Path) -> None:
    make_book(root)
    unknown = "# git clone: the address of the repository is not assigned yet"
    assert guide.first_lines() == f"```bash\n{unknown}\nmake book\n```"
    publish(root)
    lines = guide.first_lines().splitlines()
    assert lines[1:] == [
        "git clone https://github.com/someone/book book", "cd book", "make book", "```",
    ]  # fmt: skip
    told = (root / "CITATION.cff").read_text().replace("github.com", "git.example.org")
    (root / "CITATION.cff").write_text(told)
    assert "git clone https://git.example.org/someone/book book" in guide.first_lines()


@pytest.mark.parametrize("name", chapter.names())
def test_the_examples_are_accepted(name: str) -> None:
    chapter.settings(name, "laptop", pairs(shlex.split(guide.example(name))))


def test_runs_and_times_are_those_of_book_plan_and_near_to_the_records() -> None:
    *chapters, every = cells(guide.times())
    assert len(chapters) == len(guide.numbered()) > 6 and int(every[1]) > 80
    for told, runs, time in chapters[:3]:
        name, given = re.search(r"`NAME=(\S+) PARAMS=\"(.+)\"`", told).groups()
        said = CliRunner().invoke(cli.main, ["plan", name, "-p", given]).output
        assert re.search(rf"^  runs +{runs} ", said, re.M) or (runs == "0" and "nothing" in said)
        assert not time or f"{time.replace(chr(160), ' ')}, as on" in said
    runs = chapter.at_scale("no-retention", "laptop")
    took = [sum(run.record.provenance["seconds"]) for run in runs]
    minutes = float(re.search(r"\d+", chapters[1][2])[0])
    assert 0.5 < 60 * minutes / statistics.mean(took) < 2


# -- the end ---------------------------------------------------------------------------------


def test_a_rerun_of_the_same_seed_ends_with_the_published_bits() -> None:
    said = guide.last_lines("no-retention").splitlines()
    assert said[-2].startswith("agrees within the spread: bit for bit the published run ")
    name = said[-2].rpartition(" ")[2]
    assert compare.with_published(records.named(name)).sentence == said[-2]
    assert sum("yes" in line for line in said) == len(compare.MEASURES)
    assert "not run yet" in guide.last_lines("why-tails-vanish")


def test_the_statuses_are_four_and_each_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [row[0] for row in cells(guide.statuses())] == ["0", "1", "2", "3"]
    assert all(len(row[1]) > 10 for row in cells(guide.statuses()))
    assert compare.STATUS == {"agrees": 0, "differs": 1, "not comparable": 3}
    assert CliRunner().invoke(cli.main, ["compare", "nothing"]).exit_code == Exit.MISTAKE == 2

    def stopped() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(chapter, "names", stopped)
    assert CliRunner().invoke(cli.main, ["list"]).exit_code == 1  # as the page says of Ctrl-C
