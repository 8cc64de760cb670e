"""`book text`: the text of any generation of any record, decoded."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from collapse import cli
from collapse.experiment import loop, records
from collapse.experiment.protocol import Protocol
from toy_records import make_record


def told(*arguments: str) -> str:
    """What the command says where it refuses."""
    done = CliRunner().invoke(cli.main, ["text", *arguments])
    assert done.exit_code == 2, done.output
    return done.output.splitlines()[-1]


def test_the_text_of_a_generation_is_printed_block_by_block(toy: Protocol, tokenizer: Any) -> None:
    record = loop.run(toy.replace(generations=2))
    expected = "\n\n".join(tokenizer.decode(block).strip() for block in record.text[1]) + "\n"
    for name in (record.name, record.name[:-6], str(records.built() / record.name)):
        done = CliRunner().invoke(cli.main, ["text", name, "1"])
        assert done.exit_code == 0 and done.output == expected
    sample = record.samples[2]
    assert sample["generations"][1].strip() in expected.split("\n\n")[sample["row"]]
    assert told(record.name, "2").endswith("has no generation 2; give one from 0 to 1")
    spoilt = [{**one, "generations": ["x", "y"]} for one in record.samples]
    records.write(dataclasses.replace(record, samples=spoilt), records.built())
    assert "is not the one that record" in told(record.name, "1")


def test_a_name_that_is_none_or_several_or_without_text_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "published", lambda: tmp_path)
    for seed in (1, 2):
        records.write(make_record(Protocol(generations=2, seed=seed)), tmp_path)
    assert "there is no record 'nothing'" in told("nothing", "0")
    assert "there is no record ''" in told("", "0")
    assert "2 records begin with 'wikitext2-opt'" in told("wikitext2-opt", "0")
