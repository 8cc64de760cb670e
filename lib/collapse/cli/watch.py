"""The command `book watch`."""

import json
from pathlib import Path

import click

from collapse.cli.options import main
from collapse.errors import Exit
from collapse.experiment import assets


@main.command("watch")
@click.argument("reference")
@click.argument("new")
@click.option("--rate", default=0.01, show_default=True, help="False alarms, a share at most.")
@click.option("--batch", default=5000, show_default=True, help="Words of a batch.")
@click.option("--field", default="text", show_default=True, help="Of JSONL: what holds the text.")
@click.option("--scores", metavar="FILE", help="Mean log-probabilities of held-out blocks under "
              "the old and the new model: CSV with columns old and new, or JSONL.")  # fmt: skip
@click.option("--margin", default=0.01, show_default=True, help="Of perplexity, with --scores.")
@click.option("--json", "target", metavar="FILE", help="Write the report there, too.")
@click.pass_context
def watch_command(
    context: click.Context, reference: str, new: str, target: str | None,
    rate: float, batch: int, field: str, scores: str | None, margin: float,
) -> None:  # fmt: skip
    """Compare a NEW text with a REFERENCE: does it show signs of collapse?

    Each is a .jsonl or .txt file, also .gz, or a folder of such files. No model is needed. Exits
    with 0 if it is quiet, with 1 on an alarm, with 3 if there is too little text to judge. Another
    subject, language, length of documents or way of writing rings it too.
    """
    from collapse.watch.judgement import TooLittleText, watch

    try:
        report = watch(
            reference, new, rate=rate, batch=batch, field=field, scores=scores, margin=margin,
            progress=True,
        )  # fmt: skip
    except TooLittleText as error:
        click.echo(f"Cannot judge: {error}")
        context.exit(Exit.OPEN)
    click.echo(str(report))
    if target:
        with assets.atomic(Path(target)) as temporary:
            temporary.write_text(json.dumps(report.to_dict(), indent=1) + "\n")
    context.exit(Exit.DIFFERS if report.alarm else Exit.DONE)
