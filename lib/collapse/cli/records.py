"""Commands about records."""

from pathlib import Path

import click

from collapse.book import chapter
from collapse.cli.options import Given, Writing, main, parameter_option, scale_option
from collapse.errors import Exit
from collapse.experiment import models, records


@main.command("records")
def records_command() -> None:
    """List the committed records."""
    for path in records.list_records(records.published()):
        click.echo(path.name)


@main.command("verify")
@click.argument("folder", type=click.Path(path_type=Path), required=False, metavar="[DIR]")
def verify_command(folder: Path | None) -> None:
    """Verify one record, or all committed ones."""
    every = sorted(p for p in records.published().iterdir() if records.is_name(p.name))
    failed, paths = [], [folder] if folder else every
    for path in paths:
        try:
            records.read(path)
            click.echo(f"{path.name}: verified")
        except records.RecordError as error:
            if folder:
                raise
            failed.append(error)
            click.echo(f"{path.name}: {error}")
    click.echo(f"{len(paths) - len(failed)} verified")
    if failed:
        raise failed[0]


@main.command("compare", cls=Writing)
@click.argument("what", metavar="CHAPTER|RECORD")
@click.argument("published", required=False, metavar="[RECORD]")
@scale_option
@parameter_option
@click.pass_context
def compare_command(
    context: click.Context, what: str, published: str | None, scale: str, overrides: Given
) -> None:
    """Compare what a chapter computed here with the published runs nearest to it.

    Or one record with another: names in records/ or in the build folder, or folders. Exits with 0
    if it agrees within the spread of the seeds, with 1 if it differs, with 3 if the two cannot be
    compared.
    """
    from collapse.book import compare

    if published:
        found = [compare.compare(records.named(what), [records.named(published)])]
    elif what not in chapter.names():
        found = [compare.with_published(records.named(what))]
    else:
        arms = chapter.arms(what, chapter.settings(what, scale, overrides))
        found = compare.of_chapter(next(iter(arms.values())).runs() if arms else [])
    if not found:
        click.echo(f"{what}: no run was computed here, so there is nothing to compare")
    for one in found:
        click.echo(f"{compare.told(one)}\n{compare.page(one).resolve().as_uri()}\n")
    context.exit(max((compare.STATUS[one.verdict] for one in found), default=Exit.OPEN))


@main.command("text")
@click.argument("record")
@click.argument("generation", type=click.IntRange(min=0))
def text_command(record: str, generation: int) -> None:
    """Print the text that a GENERATION of a RECORD wrote, a paragraph for each block.

    RECORD is a name in records/ or in the build folder, or its beginning, or a folder.
    """
    found = records.named(record)
    last = found.protocol.generations - 1
    if generation > last:
        raise records.RecordError(
            f"record {found.name} has no generation {generation}; give one from 0 to {last}"
        )
    tokens, protocol = found.text[generation], found.protocol
    tokenizer = models.tokenizer(protocol.model)
    for sample in found.samples:
        if tokenizer.decode(tokens[sample["row"]]) != sample["generations"][generation]:
            raise records.RecordError(
                f"the tokeniser of {protocol.model} that is here is not the one that record "
                f"{found.name} was made with; compute the run again"
            )
    click.echo("\n\n".join(tokenizer.decode(block).strip() for block in tokens))
