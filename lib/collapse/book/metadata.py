"""What machines read of a page: description, Open Graph, citation tags, JSON-LD; and its footer.

Also what a host shows where there is no page, and, once the site has an address, a map of it.
"""

import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bs4 import BeautifulSoup
from docutils import nodes

from collapse.book import cards, identity
from collapse.book.citations import NAMES
from collapse.book.identity import NOT_YET, Identity, licence

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DATA = "chapters/how-to-cite"  # the page that describes the data set
_NO_PAGE = ("search", "genindex")  # of the site's own machinery


def setup(app: "Sphinx") -> None:
    """Have Sphinx call what is below."""
    app.connect("config-inited", _introduce)
    app.connect("html-page-context", _head)


def facts(me: Identity) -> dict[str, str]:
    """What the pages say of the book, in Markdown, by the name that a page calls it by."""
    doi = f"[{me.doi}](https://doi.org/{me.doi})" if me.doi else NOT_YET
    links = [f"[{link}]({link})" if link else NOT_YET for link in (me.repository, me.url)]
    code, rest = (f"[{name}]({link})" for name, link in map(licence, me.licences))
    shared = f"{rest} for text, figures and data; {code} for code"
    rows = {
        "authors": me.by, "version": f"{me.version}, {me.day}", "DOI": doi, "repository": links[0],
        "address of the site": links[1],
        "licence": shared,
    }  # fmt: skip
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return {
        "identity": f"| about | this book |\n|---|---|\n{table}",
        "citation": f"{me.by} ({me.released.year}). *{me.title}*, version {me.version}.",
        "version": me.version,
        "licence": shared,
    }


def _introduce(app: "Sphinx", config: Any) -> None:
    """Have all pages know who publishes them, and where."""
    me = identity.read(Path(app.confdir))
    config.author, config.html_baseurl = me.by, me.address("")
    config.myst_substitutions = facts(me)
    code, rest = (f'<a href="{link}">{name}</a>' for name, link in map(licence, me.licences))
    where, doi = me.repository, f"https://doi.org/{me.doi}"
    config.html_theme_options["extra_footer"] = " ".join(
        f"<span>{told}</span>"
        for told in (
            f"{html.escape(me.by)}, {me.released.year}",
            f"Version {me.version}, {me.day}",
            f"Repository: {f'<a href={json.dumps(where)}>{where}</a>' if where else NOT_YET}",
            f"DOI: {f'<a href={json.dumps(doi)}>{me.doi}</a>' if me.doi else NOT_YET}",
            f"Text, figures, data: {rest}. Code: {code}",
        )
    )


# -- the head of a page ----------------------------------------------------------------------


def _head(
    app: "Sphinx", page: str, template: str, context: dict[str, Any], tree: nodes.document | None
) -> None:
    """Put into the head of a page what search engines and reference managers read."""
    me, start = identity.read(Path(app.confdir)), app.config.root_doc
    public, name = Path(app.confdir) / "_public", page.rpartition("/")[2]
    if (public / f"{page}.bib").is_file():
        links = (f'<a href="{name}.{suffix}" download>{told}</a>' for suffix, told in NAMES.items())
        context["theme_extra_footer"] += f" <span>Cite this page: {', '.join(links)}</span>"
    file = public / f"{page}.json"
    read = page.startswith("figures/fig-") and file.is_file()
    card = json.loads(file.read_text(encoding="utf-8")) if read else None
    if tree is None:  # search and such: no page of the book
        told = f"{me.title}: {html.unescape(context.get('title', page))}"
        context["metatags"] = context.get("metatags", "") + _meta("name", {"description": told})
        return
    title = me.title if page == start else _plain(app.env.titles[page])
    told = card["alt"] if card else _described(tree) or f"{title}: a page of {me.title}"
    address, picture = me.address(f"{page}.html"), _picture(app, page, card)
    picture = me.address(picture) if picture else ""
    tags = {
        "description": told,
        "citation_title": title,
        "citation_author": [author.plain for author in me.authors],
        "citation_publication_date": f"{me.released:%Y/%m/%d}",
        "citation_inbook_title": me.title if page != start else "",
        "citation_language": "en",
        "citation_doi": me.doi if page == start else "",
        "citation_public_url": address,
        "twitter:card": "summary_large_image" if picture else "summary",
    }
    graph = {
        "og:type": "website" if page == start else "article",
        "og:site_name": me.title,
        "og:title": title,
        "og:description": told,
        "og:url": address,
        "og:image": picture,
        "og:image:alt": told if picture and card else "",
    }
    things = [_thing(me, page, title, told, start, card)]
    if page == DATA:
        things.append(_dataset(me))
    linked = json.dumps(things, ensure_ascii=False).replace("</", "<\\/")
    context["metatags"] += (
        _meta("name", tags)
        + _meta("property", graph)
        + f'<script type="application/ld+json">{linked}</script>\n'
    )


def _meta(key: str, tags: dict[str, Any]) -> str:
    """Elements of a head; none of a tag that is empty, several of one of several values."""
    return "".join(
        f'<meta {key}="{name}" content="{html.escape(value)}">\n'
        for name, values in tags.items()
        for value in ([values] if isinstance(values, str) else values)
        if value
    )


def _plain(node: nodes.Node) -> str:
    return " ".join(node.astext().split())


def _described(tree: nodes.document) -> str:
    """The first sentence in bold of a page's answer, or its first paragraph."""
    for box in tree.findall(nodes.admonition):
        if "answer" in box["classes"]:
            for strong in box.findall(nodes.strong):
                return _plain(strong)
    return next((_plain(paragraph) for paragraph in tree.findall(nodes.paragraph)), "")


def _picture(app: "Sphinx", page: str, card: cards.Card | None) -> str:
    """The picture of a page in the site: that of the figure, or of its first figure."""
    public = Path(app.confdir) / "_public" / "figures"
    ids = [card["id"]] if card else app.env.toc_fignumbers.get(page, {}).get("figure", {})
    return next((f"figures/{id}.png" for id in ids if (public / f"{id}.png").is_file()), "")


# -- JSON-LD ---------------------------------------------------------------------------------


def _thing(
    me: Identity, page: str, title: str, told: str, start: str, card: cards.Card | None
) -> dict[str, Any]:
    """The page as schema.org has it; addresses are absolute or left out."""
    book = _filled({"@type": "Book", "name": me.title, "url": me.address("")})
    kind = "ImageObject" if card else "Book" if page == start else "ScholarlyArticle"
    return _filled(
        {
            "@context": "https://schema.org",
            "@type": kind,
            "name": title,
            "headline": title if kind == "ScholarlyArticle" else "",
            "caption": card["alt"] if card else "",
            "description": told,
            **_published(me),
            "url": me.address(f"{page}.html"),
            "contentUrl": me.address(f"{page}.png") if card else "",
            "encodingFormat": "image/png" if card else "",
            "identifier": card["id"] if card else me.doi if page == start else "",
            "isPartOf": book if page != start else "",
        }
    )


def _dataset(me: Identity) -> dict[str, Any]:
    """The records, as the release carries them."""
    there = f"{me.repository}/releases/download/v{me.version}/records.zip"
    archive = {
        "@type": "DataDownload",
        "name": "records.zip",
        "encodingFormat": "application/zip",
        "contentUrl": there if me.repository else "",
    }
    index = {
        "@type": "DataDownload",
        "name": "index.json",
        "encodingFormat": "application/json",
        "contentUrl": me.address("figures/index.json"),
    }
    return _filled(
        {
            "@context": "https://schema.org",
            "@type": "Dataset",
            "name": f"Records of {me.title}",
            "description": "Settings, losses, counts and the text that every model generation "
            "wrote, one folder a run of a language model trained on its predecessor's text.",
            **_published(me),
            "url": me.address(f"{DATA}.html"),
            "identifier": me.doi,
            "distribution": [_filled(archive), _filled(index)],
        }
    )


def _published(me: Identity) -> dict[str, Any]:
    authors = [
        {"@type": "Organization" if author.name else "Person", "name": author.plain}
        for author in me.authors
    ]
    return {
        "author": authors,
        "creator": authors,
        "datePublished": str(me.released),
        "version": me.version,
        "license": licence(me.licences[1])[1],
        "inLanguage": "en",
    }


def _filled(things: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in things.items() if value}


# -- files beside the pages ------------------------------------------------------------------


def complete(site: Path, me: Identity, start: str) -> None:
    """Write what a host shows at the root and where there is no page, and, for a site with an
    address, `sitemap.xml` and `robots.txt`.

    Args:
        start: the page that the root leads to.
    """
    first = BeautifulSoup((site / f"{start}.html").read_text(encoding="utf-8"), "html.parser")
    wanted = "title, meta[property], meta[name=description], meta[name^=twitter], [rel=canonical]"
    assert first.head is not None
    head = [str(tag) for tag in first.head.select(wanted)]  # pictures have titles of their own
    for name, values in (("index", {"head": head}), ("404", {"base": me.address("")})):
        text = cards.rendered(f"{name}.html", start=f"{start}.html", title=me.title, **values)
        (site / f"{name}.html").write_text(text, encoding="utf-8")
    if me.url:
        folders = (path for path in site.rglob("*.html") if "_static" not in path.parts)
        pages = sorted(str(path.relative_to(site)) for path in folders)
        left_out = {f"{name}.html" for name in (*_NO_PAGE, "404", "index")}
        told = "".join(
            f"<url><loc>{me.address(page)}</loc></url>\n" for page in pages if page not in left_out
        )
        space = "http://www.sitemaps.org/schemas/sitemap/0.9"
        (site / "sitemap.xml").write_text(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{space}">\n{told}</urlset>\n'
        )
        (site / "robots.txt").write_text(
            f"User-agent: *\nAllow: /\nSitemap: {me.address('sitemap.xml')}\n"
        )
