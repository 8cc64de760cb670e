"""What the page for rerunners says: how to begin, how a run ends, and every parameter."""

from pathlib import Path

from collapse.book import chapter, compare, guide
from collapse.experiment import records
from toys import make_book, publish


def test_the_book_is_fetched_from_where_it_is_published(root: Path) -> None:
    make_book(root)
    assert guide.first_lines() == "```bash\nmake book\n```"
    publish(root)
    lines = guide.first_lines().splitlines()
    assert lines[1:] == [
        "git clone https://github.com/someone/book book", "cd book", "make book", "```",
    ]  # fmt: skip


def test_a_rerun_of_the_same_seed_ends_with_the_published_bits() -> None:
    said = guide.last_line("no-retention")
    assert said.startswith("agrees within the spread: bit for bit the published run ")
    name = said.rpartition(" ")[2]
    assert compare.with_published(records.named(name)).sentence == said
    assert guide.last_line("why-tails-vanish") == "not run yet"


def test_each_chapter_with_parameters_has_a_fold_with_its_table() -> None:
    folds = guide.folds()
    having = [name for name in chapter.names() if set(chapter.parameters(name)) - {"scale"}]
    assert folds.count("````{dropdown}") == len(having) > 3
    for name in having:
        assert f"{{dropdown}} {chapter.title(name)}\n`{guide.command(name)}`" in folds
        assert guide.table(name) in folds
