"""What rerunners are told: how to begin, how long it takes, how a run ends, and every parameter."""

import re
import shlex
from collections import Counter, defaultdict

from collapse.book import chapter, compare, identity
from collapse.book.chapter import parameters, settings
from collapse.book.guide import described
from collapse.errors import Exit
from collapse.experiment.protocol import Protocol
from collapse.measure.per_seed import NOT_RUN
from collapse.sweeps import plan


def numbered() -> dict[int, str]:
    """The chapters that have parameters, by their number in the contents."""
    found = {place: page.split("/")[-1] for place, page in enumerate(chapter.pages())}
    return {n: name for n, name in found.items() if set(parameters(name)) - {"scale"}}


def rows() -> list[dict[str, str]]:
    """Every parameter as the rows of a table, first those that most chapters have.

    A parameter has a row for each pair of values that it has somewhere, or each range; where
    chapters tell of it in other words, these are those of most of them. The value at laptop scale
    is empty where it is the paper's.
    """
    found: dict[str, dict[tuple[str, ...], dict[int, str]]] = defaultdict(dict)
    for number, name in numbered().items():
        for one in described(name):
            alike = (one.paper, one.laptop, one.limits)
            found[one.name].setdefault(alike, {})[number] = one.about
    shown = []
    for key, ways in sorted(found.items(), key=lambda each: -sum(map(len, each[1].values()))):
        for (paper, laptop, limits_), told in ways.items():
            [(about, _)] = Counter(told.values()).most_common(1)
            for choices in (limits_, " or ".join(limits_.rsplit(", ", 1))):
                about = about.removesuffix(f", {choices}")
            row = {"parameter": key, "what it is": about, "paper": _short(paper)}
            row["laptop"] = "" if laptop == paper else _short(laptop)
            shown.append(row | {"range": limits_, "chapters": _spans(list(told))})
    return shown


def _short(value: str) -> str:
    """A value whose large numbers are short, and in which a line may end if it is a list."""
    told = re.sub(r"\d{7,}\.0", lambda found: f"{float(found[0]):.10g}", value)
    return told.replace("e+", "e").replace(",", ", ")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _spans(numbers: list[int]) -> str:
    """Ascending numbers, with three or more that follow one another as in `2–4`."""
    found: list[list[int]] = []
    for n in numbers:
        if found and n == found[-1][-1] + 1:
            found[-1].append(n)
        else:
            found.append([n])
    return ", ".join(
        f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in found
    )


# -- commands --------------------------------------------------------------------------------


def first_lines() -> str:
    """The commands that fetch the book, if it has an address, and build it, as a code block."""
    fetch = ["# git clone: the address of the repository is not assigned yet"]
    if where := identity.read().repository:
        fetch = [f"git clone {where} book", "cd book"]
    return "\n".join(["```bash", *fetch, "make book", "```"])


def example(name: str) -> str:
    """A setting of a chapter that a rerunner would change first; empty where it has none."""
    known = parameters(name)
    usual = settings(name, "laptop", {}) if known else {}
    # `seed` is what compute=seed computes; `seeds` says which runs are shown, and then computed.
    first = "seed" if usual.get("compute", "seed") == "seed" else "seeds"
    examples = {"seed": "seed=3", "seeds": "seeds=[3]"}
    return next((examples[key] for key in (first, "seed", "seeds") if key in known), "")


def times() -> str:
    """The chapters as a MyST table: an example of other settings, its runs, and how long they take.

    The last row is all published runs. The time is that of the median record of the same kind, by
    its operations, one run after another.

    Raises:
        RecordError: a record is damaged.
    """
    lines = [_row("chapter", "runs", "time"), "|---|---|---|"]
    for number, name in numbered().items():
        given = dict(pair.split("=") for pair in shlex.split(example(name)))
        runs = chapter.wanted([name], "laptop", given)
        how = f'`NAME={name} PARAMS="{example(name)}"`'
        lines.append(_row(f"{number}. {{doc}}`{name}`: {how}", *_time(runs)))
    every = [name for name in numbered().values() if "compute" in parameters(name)]
    again = chapter.wanted(every, "laptop", {"compute": "all"})
    lines.append(_row("all published runs: `make records`", *_time(again)))
    return "\n".join(lines)


def _time(runs: list[Protocol]) -> tuple[str, str]:
    """How many runs, and how long they take."""
    found = [plan.seconds(job) for job in plan.jobs(runs)]
    known = [seconds for seconds, _ in filter(None, found)]
    words = plan.in_words(sum(known)) if len(known) == len(found) else "not known"
    return str(len(runs)), words.replace(" ", "\u00a0") if runs else ""


def last_lines(name: str) -> str:
    """What `make chapter` ends with if a rerun gets the published bits, as a code block.

    Raises:
        RecordError: a record is damaged.
    """
    runs = chapter.at_scale(name, "laptop")
    told = compare.told(compare.with_published(runs[0].record)) if runs else NOT_RUN
    return f"```text\n{told}\n```"


def statuses() -> str:
    """The exit statuses of `book`, as a MyST table."""
    return "\n".join(
        [
            _row("status", "what it says"),
            "|---|---|",
            *(_row(str(one.value), one.when) for one in Exit),
        ]
    )
