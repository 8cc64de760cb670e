"""Who publishes the book, when, where and under which licences, as `CITATION.cff` says.

Nothing else says it. What that file leaves out is shown as not assigned yet; no page takes its
address from the host that serves it.
"""

from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from collapse.book.parameters import read_file
from collapse.experiment import assets

FILE = "CITATION.cff"
NOT_YET = "not assigned yet"
GITHUB = "https://github.com/"

Text = Annotated[str, BeforeValidator(str)]  # a version may look like a number
Address = Annotated[str, StringConstraints(pattern=r"^(https?://\S*[^\s/])?$")]


class Author(BaseModel, extra="ignore"):
    """A person, of family and given names, or an institution, of a name."""

    name: str = ""
    family: str = Field("", alias="family-names")
    given: str = Field("", alias="given-names")

    @property
    def plain(self) -> str:
        """The whole name."""
        return self.name or f"{self.given} {self.family}".strip()


class Article(BaseModel, extra="ignore"):
    """The article that the book reproduces."""

    doi: str


class Identity(BaseModel, extra="ignore"):
    """What the book is cited by; an address, a repository or a DOI may be empty."""

    title: str
    version: Text
    released: date = Field(alias="date-released")
    licences: tuple[str, str] = Field(alias="license")  # SPDX: of the code, of everything else
    authors: list[Author] = Field(min_length=1)
    url: Address = ""
    repository: Address = Field("", alias="repository-code")
    doi: str = Field("", pattern=r"^(10\.\S+/\S+)?$")
    articles: list[Article] = Field(alias="references", min_length=1)

    @property
    def article(self) -> str:
        """The DOI of the article that the book reproduces."""
        return self.articles[0].doi

    @property
    def by(self) -> str:
        """The authors in one line."""
        return ", ".join(author.plain for author in self.authors)

    @property
    def day(self) -> str:
        """The date as one reads it: `27 November 2026`."""
        return f"{self.released.day} {self.released:%B %Y}"

    @property
    def github(self) -> str:
        """`owner/name` of a repository on GitHub, or nothing."""
        there = self.repository.startswith(GITHUB)
        return self.repository.removeprefix(GITHUB).removesuffix(".git") if there else ""

    def address(self, page: str) -> str:
        """The absolute address of a page or file of the site, or nothing."""
        return f"{self.url}/{page}" if self.url else ""


def read(root: Path | None = None) -> Identity:
    """What the citation file in a folder says, that of the book if none is given.

    Raises:
        ParameterError: it cannot be read, lacks something, or an address is none.
    """
    found: Identity = read_file(str((root or assets.ROOT) / FILE), Identity)
    return found


def licence(spdx: str) -> tuple[str, str]:
    """The name of a licence and its address.

    >>> licence("CC-BY-4.0"), licence("Apache-2.0")[0]
    (('CC BY 4.0', 'https://creativecommons.org/licenses/by/4.0/'), 'Apache 2.0')
    """
    name = spdx.replace("-", " ")
    kind, _, version = spdx.removeprefix("CC-").lower().rpartition("-")
    if spdx.startswith("CC-"):
        return name, f"https://creativecommons.org/licenses/{kind}/{version}/"
    return name, f"https://spdx.org/licenses/{spdx}.html"
