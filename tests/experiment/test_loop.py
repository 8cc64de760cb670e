"""The loop: what each generation is trained on and writes from, and that nothing else matters."""

import copy
import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from collapse.errors import BookError
from collapse.experiment import (
    assets,
    corpus,
    decoding,
    generations,
    loop,
    models,
    provenance,
    records,
    scoring,
    sources,
    training,
)
from collapse.experiment.assets import AssetError
from collapse.experiment.loop import Observer
from collapse.experiment.protocol import Protocol, ProtocolError
from collapse.experiment.record import Record
from toy_caches import know_toy

State = dict[str, torch.Tensor]


class Noted(Observer):
    """What a run told, and what its parts were given and gave, a generation each."""

    record: Record
    fingerprint: str

    def __init__(self) -> None:
        self.computed: list[int] = []
        self.found: list[int] = []
        self.steps: list[int] = []  # of each training
        self.trained_on: list[np.ndarray] = []
        self.starts: list[State] = []
        self.ends: list[State] = []
        self.prompts: list[np.ndarray] = []
        self.texts: list[np.ndarray] = []

    def before_generation(self, number: int) -> None:
        self.computed.append(number)

    def during_generation(self, what: str, done: int, total: int) -> None:
        if what == "training" and done == total:
            self.steps.append(total)

    def after_generation(
        self, number: int, seconds: float | None, key: str, perplexity: float
    ) -> None:
        assert generations.folder(key).exists()
        assert (seconds is None) == (number not in self.computed)
        if seconds is None:
            self.found.append(number)


def noted(protocol: Protocol) -> Noted:
    """Run a protocol in the present folders, and note."""
    notes, fine_tune, generate = Noted(), training.fine_tune, decoding.generate

    def training_noted(net: Any, train: np.ndarray, *args: Any) -> Any:
        notes.trained_on.append(train)
        notes.starts.append(copy.deepcopy(net.state_dict()))
        history = fine_tune(net, train, *args)
        notes.ends.append(copy.deepcopy(net.state_dict()))
        return history

    def writing_noted(net: Any, prompts: np.ndarray, *args: Any) -> np.ndarray:
        notes.prompts.append(prompts)
        notes.texts.append(generate(net, prompts, *args))
        return notes.texts[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "fine_tune", training_noted)
        patch.setattr(decoding, "generate", writing_noted)
        notes.record = loop.run(protocol, "paper", notes)
    notes.fingerprint = notes.record.fingerprint
    return notes


@pytest.fixture(scope="session")
def undisturbed(
    toy: Protocol, toy_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Noted]:
    """The toy's run with some fields changed, each computed once, in folders of its own."""
    known: dict[Protocol, Noted] = {}

    def run(**changes: Any) -> Noted:
        protocol = toy.replace(**changes)
        if protocol not in known:
            place = tmp_path_factory.mktemp("undisturbed")
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("COLLAPSE_CACHE", know_toy(place / "cache", toy_cache))
                patch.setenv("COLLAPSE_BUILD", str(place / "build"))
                loop._materials.cache_clear()
                known[protocol] = noted(protocol)
                loop._materials.cache_clear()
        return known[protocol]

    return run


class Stopped(Exception):
    """A generation would have been computed."""


class Stopping(Observer):
    """Stops a run that would compute anything."""

    def before_generation(self, number: int) -> None:
        raise Stopped(number)


def is_finished(protocol: Protocol) -> bool:
    """Whether a run finds all its generations finished."""
    try:
        loop.run(protocol, "paper", Stopping())
    except Stopped:
        return False
    return True


def kept() -> list[Path]:
    """The finished generations in the cache."""
    found = (assets.cache_dir() / "generations").glob(f"*/{generations.FACTS}")
    return sorted(path.parent for path in found)


def equal(one: State, two: State) -> bool:
    return all(torch.equal(one[name].cpu(), two[name].cpu()) for name in one)


# -- what a generation is trained on, starts from and continues ------------------------------


@pytest.fixture
def human(blocks: corpus.Blocks) -> np.ndarray:
    return blocks.train


@pytest.mark.parametrize("retained", [0.0, 0.25])
def test_a_generation_is_trained_on_the_last_one_s_text_and_the_retained_share(
    undisturbed: Callable[..., Noted], human: np.ndarray, retained: float
) -> None:
    run = undisturbed(retained=retained)
    assert len(run.trained_on) == len(run.texts) == 3
    assert np.array_equal(run.trained_on[0], human)
    rows = []
    for train, text in zip(run.trained_on[1:], run.texts[:-1], strict=True):
        is_human = (train == human).all(1)
        assert is_human.sum() == round(retained * len(human))
        assert np.array_equal(train[~is_human], text[~is_human])
        rows.append(tuple(np.flatnonzero(is_human)))
    assert retained == 0 or rows[0] != rows[1]
    assert run.record.generations["human_share"].tolist() == [1.0, retained, retained]


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"prompts": "synthetic"}, {"prompts": "synthetic", "regime": "accumulate"},
        {"prompts": "bos"}, {"regime": "accumulate"},
    ],
)  # fmt: skip
def test_prompts_are_the_human_blocks_in_order_or_what_the_protocol_says(
    undisturbed: Callable[..., Noted], human: np.ndarray, changes: dict[str, Any]
) -> None:
    run = undisturbed(**changes)
    assert len(run.prompts) == 3
    for train, given, text in zip(run.trained_on, run.prompts, run.texts, strict=True):
        expected = {
            "human": human,
            "synthetic": train[-len(human) :],
            "bos": np.full((len(human), 1), 2),
        }[changes.get("prompts", "human")]
        assert np.array_equal(given, expected) and text.shape == human.shape


def test_an_accumulating_run_grows_and_a_subsampling_one_does_not(
    undisturbed: Callable[..., Noted],
) -> None:
    run = undisturbed(regime="accumulate")
    assert [len(train) for train in run.trained_on] == [20, 40, 60]
    assert run.record.generations["human_share"].tolist() == pytest.approx([1, 1 / 2, 1 / 3])
    run = undisturbed(regime="accumulate-subsample")
    assert [len(train) for train in run.trained_on] == [20, 20, 20]


@pytest.mark.parametrize("init", ["pretrained", "previous"])
def test_a_generation_starts_from_the_weights_that_the_protocol_says(
    undisturbed: Callable[..., Noted], base: models.Base, init: str
) -> None:
    run, pretrained = undisturbed(init=init), base.model.state_dict()
    expected = [pretrained] * 3 if init == "pretrained" else [pretrained, *run.ends[:-1]]
    assert len(run.starts) == 3
    assert all(equal(start, weights) for start, weights in zip(run.starts, expected, strict=True))
    assert not equal(run.ends[0], pretrained)


def test_equal_steps_are_those_that_as_many_epochs_of_human_text_take(
    toy: Protocol, undisturbed: Callable[..., Noted]
) -> None:
    def steps(*blocks: int) -> list[int]:
        return [toy.epochs * -(-number // toy.batch) for number in blocks]

    assert undisturbed(regime="accumulate").steps == steps(20, 40, 60)
    assert undisturbed(regime="accumulate", budget="steps").steps == steps(20, 20, 20)
    run = undisturbed(regime="accumulate", budget="steps", recovery=5, seed=1)
    assert run.steps == steps(20, 20, 5)


def test_a_recovery_goes_on_from_the_last_weights_on_unseen_text_alone(
    toy: Protocol, undisturbed: Callable[..., Noted], human: np.ndarray
) -> None:
    run = undisturbed(recovery=5)
    assert len(run.trained_on) == 3 and len(run.trained_on[-1]) == 5
    assert not {row.tobytes() for row in run.trained_on[-1]} & {row.tobytes() for row in human}
    assert equal(run.starts[2], run.ends[1]) and not equal(run.starts[1], run.ends[0])
    assert run.record.generations["human_share"].tolist() == [1.0, 0.0, 1.0]
    # The perplexity after each epoch: of the best one, the row speaks as well.
    by_epoch = np.exp(run.record.arrays["recovery_nll"].astype(float))
    assert len(by_epoch) == toy.epochs
    last = run.record.generations.iloc[-1]
    assert by_epoch[int(last.best_epoch) - 1] == pytest.approx(last.valid_perplexity, rel=1e-5)


def test_a_recovery_shares_what_came_before_and_trains_again_for_the_weights_that_it_lacks(
    toy: Protocol, undisturbed: Callable[..., Noted]
) -> None:
    plain = noted(toy)
    mended = noted(toy.replace(recovery=5))
    assert mended.computed == [2] and mended.found == [0, 1]
    assert len(mended.ends) == 2 and equal(mended.ends[0], plain.ends[1])  # generation 1's
    assert mended.fingerprint == undisturbed(recovery=5).fingerprint
    pd.testing.assert_frame_equal(mended.record.generations[:2], plain.record.generations[:2])
    again = noted(toy.replace(recovery=3))
    assert again.computed == [2] and len(again.ends) == 1  # the weights are there by now
    again = noted(toy)
    assert again.computed == [] and again.fingerprint == plain.fingerprint


def test_the_measures_of_a_record_are_those_of_its_tokens_and_weights(
    toy: Protocol, undisturbed: Callable[..., Noted], base: models.Base, blocks: corpus.Blocks
) -> None:
    run = undisturbed()
    record = run.record
    net = copy.deepcopy(base.model).to(models.device())
    zero_shot = np.exp(scoring.score(net, blocks.test, toy).nll.mean())
    assert record.base["zero_shot_perplexity"] == pytest.approx(zero_shot)
    spelt = base.tokenizer.batch_decode(blocks.test[:, 1:], skip_special_tokens=True)
    spelt_bytes = sum(len(line.encode()) for line in spelt)
    rows = [sample["row"] for sample in record.samples]
    for number, (weights, tokens) in enumerate(zip(run.ends, run.texts, strict=True)):
        row = record.generations.iloc[number]
        arrays = {name: array[number] for name, array in record.arrays.items() if array.ndim > 1}
        net.load_state_dict(weights)
        test, own = scoring.score(net, blocks.test, toy), scoring.score(net, tokens, toy)
        assert row.test_perplexity == pytest.approx(np.exp(test.nll.mean()))
        assert row.test_perplexity_low < row.test_perplexity < row.test_perplexity_high
        on_human = scoring.score(net, blocks.following[rows], toy).nll
        assert arrays["sample_human_nll"] == pytest.approx(on_human)
        no_eos = test.nll[blocks.test[:, 1:] != base.tokenizer.eos_token_id]
        assert row.test_perplexity_no_eos == pytest.approx(np.exp(no_eos.mean()))
        assert row.predictive_entropy == pytest.approx(test.entropy.mean() / np.log(2))
        assert row.own_text_perplexity == pytest.approx(np.exp(own.nll.mean()))
        assert row.own_text_entropy == pytest.approx(own.entropy.mean() / np.log(2))
        gap = (test.nll - test.entropy).mean() / np.log(2)
        assert row.overconfidence == pytest.approx(gap, abs=1e-6)
        frozen = scoring.score(net, run.texts[0], toy)
        assert row.reference_entropy == pytest.approx(frozen.entropy.mean() / np.log(2))
        assert arrays["reference_entropy"] == pytest.approx(frozen.entropy.mean(1))
        assert arrays["reference_nll"] == pytest.approx(frozen.nll.mean(1))
        assert arrays["own_nll"] == pytest.approx(own.nll.mean(1))
        assert arrays["test_entropy"] == pytest.approx(test.entropy.mean(1))
        bits = test.nll.sum() / np.log(2) / spelt_bytes
        assert row.bits_per_byte == pytest.approx(bits)
        assert np.array_equal(record.text[number], tokens)
        assert row.distinct_tokens == len(np.unique(tokens))
        assert base.tokenizer.eos_token_id not in tokens
        counts = np.bincount(tokens.ravel(), minlength=300)
        assert np.array_equal(record.text_counts[number], counts)
        net.load_state_dict(run.ends[0])
        reference = scoring.score(net, tokens, toy).nll
        assert arrays["text_nll"] == pytest.approx(reference.mean(1))
        for sample, nll in zip(record.samples, arrays["sample_nll"], strict=True):
            assert sample["generations"][number] == base.tokenizer.decode(tokens[sample["row"]])
            assert nll == pytest.approx(reference[sample["row"]])
    assert np.array_equal(record.arrays["sample_human"], blocks.following[rows].ravel())
    assert record.samples[-1]["human"] == base.tokenizer.decode(blocks.following[-1])


# -- same protocol, same record --------------------------------------------------------------


@pytest.mark.parametrize("init", ["pretrained", "previous"])
def test_two_machines_leave_the_same_record_whatever_ran_before(
    toy: Protocol, undisturbed: Callable[..., Noted], init: str
) -> None:
    expected = undisturbed(init=init).fingerprint
    torch.rand(7)  # torch's own generator is in another state
    for change in ({"seed": 1}, {"lr": 2e-2}):
        loop.run(toy.replace(generations=1, **change))
    protocol = toy.replace(init=init)
    assert loop.run(protocol).fingerprint == expected
    stored = records.find(protocol, records.built())
    assert stored is not None and stored.fingerprint == expected


def test_another_seed_leaves_another_record(undisturbed: Callable[..., Noted]) -> None:
    one, two = undisturbed().record, undisturbed(seed=1).record
    for column in ("test_perplexity", "own_text_perplexity"):
        assert (one.generations[column] != two.generations[column]).all()


def test_a_chain_begins_like_a_longer_one(undisturbed: Callable[..., Noted]) -> None:
    short = undisturbed(generations=2).fingerprint
    assert undisturbed().record.truncated(2).fingerprint == short


KILLED = """
import json, os, signal, sys
from collapse.experiment import decoding, loop
from collapse.experiment.protocol import Protocol

generate, calls = decoding.generate, []

def dying(*args):
    calls.append(args)
    if len(calls) == 2:  # in the middle of generation 1, which is trained by then
        os.kill(os.getpid(), signal.SIGKILL)
    return generate(*args)

decoding.generate = dying
loop.run(Protocol.from_dict(json.loads(sys.argv[1])))
"""


def test_a_killed_run_goes_on_after_its_last_finished_generation_and_ends_the_same(
    toy: Protocol, undisturbed: Callable[..., Noted]
) -> None:
    command = [sys.executable, "-c", KILLED, json.dumps(toy.to_dict())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert records.list_records(records.built()) == []
    assert len(kept()) == 1
    again = noted(toy)
    assert again.found == [0] and again.computed == [1, 2]
    assert again.fingerprint == undisturbed().fingerprint


@pytest.mark.parametrize("init", ["pretrained", "previous"])
def test_a_run_stopped_again_and_again_ends_with_the_same_record(
    toy: Protocol, undisturbed: Callable[..., Noted], monkeypatch: pytest.MonkeyPatch, init: str
) -> None:
    expected, protocol = undisturbed(init=init).fingerprint, toy.replace(init=init)
    loop.prepare(protocol)  # its tokens are stored: what is stored from now on is a generation
    # A run scores the base model once; generation 0 three times, and every other five times.
    for module, where, call, finished in (
        (training, "fine_tune", 1, 0), (scoring, "score", 3, 0), (np, "savez", 1, 0),
        (decoding, "generate", 2, 1), (scoring, "score", 6, 1), (np, "savez", 2, 2),
        (training, "fine_tune", 1, 2),
    ):  # fmt: skip
        real, calls = getattr(module, where), []

        def stopping(
            *args: Any, real: Any = real, calls: list = calls, call: int = call, **options: Any
        ) -> Any:
            calls.append(args)
            if len(calls) == call:
                raise KeyboardInterrupt
            return real(*args, **options)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(module, where, stopping)
            loop.run(protocol)
        assert len(kept()) == finished, where
    again = noted(protocol)
    assert again.computed == [2] and again.fingerprint == expected


def test_an_observer_refuses_a_run_before_anything_is_loaded_and_stops_it_between_generations(
    toy: Protocol, undisturbed: Callable[..., Noted], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(Noted):
        def before_run(self, protocol: Protocol) -> None:
            raise BookError(f"{protocol.generations} generations are too many")

    class Late(Noted):
        def before_generation(self, number: int) -> None:
            if number == 1:
                raise BookError("time is up")
            super().before_generation(number)

    with monkeypatch.context() as patch:
        patch.setattr(models, "load", lambda _: pytest.fail("loaded"))
        with pytest.raises(BookError, match="3 generations are too many"):
            loop.run(toy, "paper", Refusing())
    with pytest.raises(BookError, match="time is up"):
        loop.run(toy, "paper", late := Late())
    assert late.computed == [0] and len(kept()) == 1
    again = noted(toy)
    assert again.computed == [1, 2] and again.fingerprint == undisturbed().fingerprint


def test_a_full_disk_is_told_in_one_sentence_and_leaves_nothing_half_written(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    short = toy.replace(generations=1)
    loop.prepare(short)  # its tokens are kept: what the disk has no place for is a generation
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(AssetError, match="No space left on device") as refusal:
            loop.run(short)
    assert "\n" not in str(refusal.value)
    assert kept() == [] and not list((assets.cache_dir() / "generations").rglob("*.part"))
    assert loop.run(short).protocol == short


# -- finished generations --------------------------------------------------------------------


SIZES = [None, 0, 30, "one byte changed"]


def damage(path: Path, size: int | str | None) -> None:
    """Remove a file, cut it to a number of bytes, or change one byte in it."""
    content = path.read_bytes()
    if size is None:
        path.unlink()
    elif isinstance(size, int):
        path.write_bytes(content[:size])
    else:
        place = len(content) // 2
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])


def test_a_damaged_generation_in_the_cache_is_computed_again_and_that_is_said(
    toy: Protocol, capsys: pytest.CaptureFixture[str]
) -> None:
    short = toy.replace(generations=1)
    expected = loop.run(short).fingerprint
    (folder,) = kept()
    for size in SIZES:
        damage(folder / generations.FACTS, size)
        capsys.readouterr()
        again = noted(short)
        assert again.computed == [0] and again.fingerprint == expected, size
        said = capsys.readouterr().out.splitlines()
        told = [line for line in said if "cannot be read" in line]
        assert len(told) == (size is not None)  # one that is not there is no damaged one
        assert all(str(folder) in line and line.endswith("computed again") for line in told)
    assert is_finished(short)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_other_human_continuations_are_another_generation(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, load = toy.replace(generations=1), corpus.load_blocks
    first = loop.run(short)

    def edited(*given: Any) -> corpus.Blocks:
        blocks = load(*given)
        return dataclasses.replace(blocks, following=blocks.following[::-1].copy())

    monkeypatch.setattr(corpus, "load_blocks", edited)
    loop._materials.cache_clear()
    again = noted(short)
    loop._materials.cache_clear()
    assert again.computed == [0]
    losses = "sample_human_nll"
    assert not np.array_equal(again.record.arrays[losses], first.arrays[losses])


@pytest.mark.parametrize("size", SIZES)
def test_damaged_weights_are_trained_again_where_they_are_needed(
    toy: Protocol,
    undisturbed: Callable[..., Noted],
    size: int | str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected, chained = undisturbed(init="previous"), toy.replace(init="previous")
    loop.run(chained.replace(generations=2))
    for weights in assets.cache_dir().rglob("weights.pt"):
        damage(weights, size)
    assert is_finished(chained.replace(generations=2))  # which needs none
    capsys.readouterr()
    mended = noted(chained)
    assert mended.computed == [2] and mended.fingerprint == expected.fingerprint
    # Generation 2 needs the first one's, to judge its text, and those of generation 1.
    assert len(mended.ends) == 3
    assert all(equal(one, two) for one, two in zip(mended.ends, expected.ends, strict=True))
    told = 0 if size is None else 2
    assert capsys.readouterr().out.count("it is computed again") == told
    assert is_finished(chained) and len(noted(chained.replace(generations=4)).ends) == 1


CHANGES = [
    {"epochs": 3}, {"lr": 2e-2}, {"lr_end": 1e-4}, {"batch": 4}, {"selection": "last"},
    {"seed": 1}, {"train_blocks": 19}, {"eval_blocks": 7}, {"block_length": 9},
    {"decoding": "greedy"}, {"temperature": 0.5}, {"top_p": 0.5}, {"eos": "allow"},
    {"repetition_penalty": 2.0}, {"prompts": "bos"}, {"precision": "bf16"},
]  # fmt: skip


def test_whatever_changes_generation_0_is_computed_anew_and_what_does_not_is_not(
    toy: Protocol, spare_model: str
) -> None:
    short = toy.replace(generations=1)
    loop.run(short)
    changes = [*CHANGES, {"model": spare_model}]
    assert [change for change in changes if is_finished(short.replace(**change))] == []
    # What makes no difference before generation 1 is shared by the arms.
    for change in ({}, {"init": "previous"}, {"retained": 0.25}, {"beams": 3}, {"recovery": 5}):
        run = toy.replace(generations=2, **change)
        with pytest.raises(Stopped, match="1"):
            loop.run(run, "paper", Stopping())


@pytest.fixture
def spare_model(toy: Protocol, base: models.Base, tmp_path: Path) -> str:
    """The toy's model with one weight changed."""
    net = copy.deepcopy(base.model)
    with torch.no_grad():
        next(net.parameters()).view(-1)[0] += 1
    net.save_pretrained(tmp_path / "spare")
    base.tokenizer.save_pretrained(tmp_path / "spare")
    return sources.name_model(str(tmp_path / "spare"))


def test_other_code_versions_or_instructions_reuse_no_finished_generation(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = toy.replace(generations=1)
    loop.run(short)
    there = provenance.numerics()
    for name in there:
        with monkeypatch.context() as patch:
            patch.setattr(provenance, "numerics", lambda name=name: {**there, name: "another"})
            assert not is_finished(short), name
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "ANOTHER")
    provenance.numerics.cache_clear()
    try:
        assert torch.cuda.is_available() or not is_finished(short)
    finally:
        provenance.numerics.cache_clear()


def test_a_cache_that_came_without_weights_gives_the_same_record(
    toy: Protocol, undisturbed: Callable[..., Noted]
) -> None:
    expected = undisturbed()
    loop.run(toy.replace(generations=1))
    (weights,) = assets.cache_dir().rglob("weights.pt")
    weights.unlink()
    again = noted(toy)
    assert again.computed == [1, 2] and again.fingerprint == expected.fingerprint
    # Trained once more, and then kept for all who need it.
    assert len(again.ends) == 3 and equal(again.ends[0], expected.ends[0]) and weights.exists()


PLAIN = """
import json, sys
from collapse.experiment import loop
from collapse.experiment.protocol import Protocol

class Telling(loop.Observer):
    def after_generation(self, number, seconds, key, perplexity):
        print(number, "found" if seconds is None else "computed")

loop.run(Protocol.from_dict(json.loads(sys.argv[1])), "paper", Telling())
"""


def test_runs_at_the_same_time_compute_what_they_share_once_and_keep_the_weights(
    toy: Protocol, undisturbed: Callable[..., Noted], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = undisturbed(recovery=5).fingerprint
    generate, calls, said, other = decoding.generate, [], [], []

    def writing(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:  # generation 1, whose weights the plain run does not keep
            command = [sys.executable, "-u", "-c", PLAIN, json.dumps(toy.to_dict())]
            other.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            for line in other[0].stdout:  # until it ends, or waits for this one
                said.append(line)
                if "another process" in line:
                    break
        return generate(*args)

    monkeypatch.setattr(decoding, "generate", writing)
    run = noted(toy.replace(recovery=5))
    said += other[0].communicate()[0].splitlines(keepends=True)
    assert other[0].returncode == 0
    assert run.computed == [0, 1, 2] and len(run.ends) == 3 and run.fingerprint == expected
    told = [line for line in said if "another process" not in line]
    assert told == ["0 found\n", "1 found\n", "2 computed\n"]


def test_a_replacement_stopped_half_way_loses_no_generation(
    toy: Protocol, undisturbed: Callable[..., Noted], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.run(toy)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        loop.run(toy.replace(recovery=5))  # has generation 1 replaced by one with weights
    again = noted(toy)
    assert again.computed == [] and again.fingerprint == undisturbed().fingerprint


def test_a_record_names_the_place_of_each_generation_where_they_differ(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = provenance.place()
    assert "places" not in loop.run(toy.replace(generations=1)).provenance
    there = {"commit": "c0ffee", "device": "another machine"}
    with monkeypatch.context() as patch:
        patch.setattr(provenance, "place", lambda: there)
        loop.run(toy.replace(generations=2))
    record = loop.run(toy)
    assert record.provenance["places"] == [here, there, here]
    assert record.truncated(2).provenance["places"] == [here, there]
    assert records.read(records.built() / record.name).provenance["places"] == [here, there, here]


# -- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"block_length": 33}, r"block_length=33 .* give at most 32"),
        ({"recovery": 5000}, r"takes 5000 human blocks .* besides its 20; lower"),
        ({"prompts": "bos"}, r"prompts='bos' needs a start token"),
    ],
)
def test_what_text_and_model_do_not_allow_is_refused_before_any_generation(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], said: str
) -> None:
    load = models.load

    def without_start(*args: Any) -> models.Base:
        base = load(*args)
        base.tokenizer.bos_token = None
        return base

    monkeypatch.setattr(models, "load", without_start)
    with pytest.raises(ProtocolError, match=said):
        loop.run(toy.replace(**changes), "paper", Stopping())
