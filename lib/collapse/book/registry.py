"""`figures.yml`: every figure that was ever published, by the identifier that is its address."""

from dataclasses import dataclass, field
from pathlib import Path

from collapse.book.parameters import checked_mapping, mapping
from collapse.errors import BookError
from collapse.experiment.assets import ROOT


class RegistryError(BookError):
    """`figures.yml` contradicts itself, or does not know a figure."""


@dataclass(frozen=True)
class Entry:
    """A figure's title, which it is cited by, and what it is about."""

    title: str
    topics: list[str]


@dataclass(frozen=True)
class Registry:
    """Figures that are shown, and where those went that are gone."""

    figures: dict[str, Entry] = field(default_factory=dict)
    gone: dict[str, str] = field(default_factory=dict)


def read(root: Path = ROOT) -> Registry:
    """What `figures.yml` says.

    Raises:
        ParameterError: the file is no YAML, or no mapping.
        RegistryError: an entry lacks title or topics, or a figure is both there and gone.
    """
    found = mapping(root, "figures.yml")
    gone = checked_mapping(found.get("gone") or {}, "figures.yml, under `gone`,")
    figures = {}
    listed = checked_mapping(found.get("figures") or {}, "figures.yml, under `figures`,")
    for id, entry in listed.items():
        if not isinstance(entry, dict) or set(entry) != {"title", "topics"}:
            raise RegistryError(f"figures.yml must give {id} a title and topics, and nothing else")
        if not isinstance(entry["topics"], list):
            raise RegistryError(f"figures.yml must give {id} a list of topics, such as [tails]")
        figures[id] = Entry(entry["title"], entry["topics"])
        if id in gone:
            raise RegistryError(
                f"figures.yml names {id} under `figures` and under `gone`; remove one of them"
            )
    return Registry(figures, gone)


def title(id: str, root: Path = ROOT) -> str:
    """The title of a figure; its identifier where it is not registered."""
    entry = read(root).figures.get(id)
    return entry.title if entry else id
