"""The loop: what each generation is trained on and writes from, and that nothing else matters."""

import copy
import errno
import json
import os
import shutil
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
from test_records import make_record

from collapse.experiment import (
    assets,
    corpus,
    decoding,
    loop,
    models,
    observation,
    provenance,
    records,
    scoring,
    sources,
    training,
    training_text,
)
from collapse.experiment.assets import AssetError
from collapse.experiment.protocol import Arm, Protocol, ProtocolError
from collapse.sweeps.plan import FitError
from collapse.sweeps.progress import Watch

# -- training blocks, against brute force ----------------------------------------------------

BLOCKS = 50
HUMAN = np.arange(BLOCKS * 4, dtype=np.int32).reshape(BLOCKS, 4)
UNSEEN = HUMAN + 100_000
CORPUS = corpus.Blocks(train=HUMAN, valid=HUMAN[:0], test=HUMAN[:0], following=HUMAN, unseen=UNSEEN)


def written_by(generation: int) -> np.ndarray:
    """Blocks that occur nowhere else: generation 1 writes 1000, 1001, ..."""
    return HUMAN + 1000 * (generation + 1)


WRITTEN = [written_by(n) for n in range(6)]


def kept_rows(mixed: np.ndarray, synthetic: np.ndarray) -> list[int]:
    """Rows that are human; every other one must be the synthetic one at the same place."""
    assert mixed.shape == HUMAN.shape
    kept = []
    for row in range(BLOCKS):
        if mixed[row].tolist() == HUMAN[row].tolist():
            kept.append(row)
        else:
            assert mixed[row].tolist() == synthetic[row].tolist()
    return kept


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.333, 0.5, 1.0])
@pytest.mark.parametrize("generation", [1, 2, 5])
def test_exactly_the_retained_share_is_human_and_in_its_own_place(
    share: float, generation: int
) -> None:
    protocol = Protocol(retained=share)
    mixed = training_text.training_blocks(CORPUS, WRITTEN[:generation], protocol)
    assert len(kept_rows(mixed, WRITTEN[generation - 1])) == round(share * BLOCKS)


def test_the_retained_rows_are_drawn_anew_by_generation_and_by_seed() -> None:
    drawn = {
        (seed, generation): tuple(
            kept_rows(
                training_text.training_blocks(
                    CORPUS, WRITTEN[:generation], Protocol(retained=0.2, seed=seed)
                ),
                WRITTEN[generation - 1],
            )
        )
        for seed in (0, 1, 2)
        for generation in (1, 2, 3, 4, 5)
    }
    assert len(set(drawn.values())) == len(drawn)
    assert len({row for rows in drawn.values() for row in rows}) > BLOCKS * 0.8


def test_every_row_is_as_likely_to_be_retained() -> None:
    draws = 400
    counts = np.zeros(BLOCKS)
    for seed in range(draws):
        counts[training_text.retained_rows(BLOCKS, Protocol(retained=0.2, seed=seed), 1)] += 1
    # Each count is about Binomial(400, 0.2): mean 80, standard deviation 8. Five of these.
    assert counts.sum() == draws * 10
    assert counts.min() > 40 and counts.max() < 120


def test_fixed_rows_are_the_same_in_every_generation_and_others_for_another_seed() -> None:
    def rows(generation: int, seed: int) -> list[int]:
        protocol = Protocol(retained=0.2, retains="fixed", seed=seed)
        mixed = training_text.training_blocks(CORPUS, WRITTEN[:generation], protocol)
        return kept_rows(mixed, WRITTEN[generation - 1])

    assert rows(1, 0) == rows(2, 0) == rows(5, 0)
    assert len(rows(1, 0)) == 10
    assert rows(1, 0) != rows(1, 1)


def test_fresh_blocks_were_never_seen_before_and_are_as_many() -> None:
    protocol = Protocol(train_blocks=BLOCKS, retained=0.2, retains="fresh", generations=6)
    seen: list[tuple[int, ...]] = []
    for generation in range(1, 6):
        mixed = training_text.training_blocks(CORPUS, WRITTEN[:generation], protocol)
        fresh = [tuple(row) for row in mixed.tolist() if row in UNSEEN.tolist()]
        assert len(fresh) == 10
        rest = [row for row in mixed.tolist() if row not in UNSEEN.tolist()]
        assert all(row in WRITTEN[generation - 1].tolist() for row in rest)
        seen += fresh
    assert len(set(seen)) == len(seen) == protocol.unseen


def test_only_the_last_generation_of_a_recovery_is_trained_on_unseen_blocks() -> None:
    protocol = Protocol(train_blocks=BLOCKS, recovery=7, generations=4)
    before = training_text.training_blocks(CORPUS, WRITTEN[:2], protocol)
    assert np.array_equal(before, WRITTEN[1])
    last = training_text.training_blocks(CORPUS, WRITTEN[:3], protocol)
    assert np.array_equal(last, UNSEEN[:7])
    assert [training_text.starts_from_previous(protocol, n) for n in range(4)] == [False] * 3 + [
        True
    ]
    # With fresh text before it, the blocks that mend were not seen either.
    both = protocol.replace(retained=0.2, retains="fresh")
    last = training_text.training_blocks(CORPUS, WRITTEN[:3], both)
    assert np.array_equal(last, UNSEEN[20:27]) and both.unseen == 27


def test_mixing_leaves_the_written_text_as_it_was() -> None:
    before = WRITTEN[0].copy()
    training_text.training_blocks(CORPUS, WRITTEN[:1], Protocol(retained=0.5))
    assert np.array_equal(WRITTEN[0], before)


@pytest.mark.parametrize("regime", ["replace", "accumulate", "accumulate-subsample"])
def test_generation_0_is_trained_on_human_text_alone(regime: str) -> None:
    assert np.array_equal(loop.training_blocks(CORPUS, [], Protocol(regime=regime)), HUMAN)


def test_accumulating_keeps_all_text_so_far() -> None:
    pool = training_text.training_blocks(CORPUS, WRITTEN[:3], Protocol(regime="accumulate"))
    assert np.array_equal(pool, np.concatenate([HUMAN, *WRITTEN[:3]]))


def test_subsampling_draws_from_all_text_so_far_without_repeating_a_block() -> None:
    pool = {row.tobytes() for row in np.concatenate([HUMAN, *WRITTEN[:4]])}
    shares, seen = [], set()
    for seed in range(30):
        protocol = Protocol(regime="accumulate-subsample", seed=seed)
        drawn = training_text.training_blocks(CORPUS, WRITTEN[:4], protocol)
        rows = {row.tobytes() for row in drawn}
        assert drawn.shape == HUMAN.shape
        assert len(rows) == BLOCKS and rows <= pool
        shares.append(observation.human_blocks(drawn, HUMAN) / len(drawn))
        seen.add(drawn.tobytes())
    assert len(seen) == 30
    assert 0.12 < np.mean(shares) < 0.28  # one part in five is human


def test_every_purpose_generation_and_seed_has_random_numbers_of_its_own() -> None:
    seeds = [
        training_text.seed_of(Protocol(seed=seed), generation, purpose)
        for seed in range(5)
        for generation in range(5)
        for purpose in ("training", "writing", "retention")
    ]
    assert len(set(seeds)) == len(seeds) == 75


# -- through the real loop -------------------------------------------------------------------

Spy = Callable[[Any, str], list[tuple[Any, ...]]]


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    """Gives the list to which a function's arguments are added at every call."""

    def on(module: Any, name: str) -> list[tuple[Any, ...]]:
        calls, real = [], getattr(module, name)

        def noting(*args: Any, **options: Any) -> Any:
            calls.append(args)
            return real(*args, **options)

        monkeypatch.setattr(module, name, noting)
        return calls

    return on


def human_blocks(protocol: Protocol) -> np.ndarray:
    text = corpus.load_text(protocol.corpus)
    return corpus.load_blocks(protocol, text, models.load(protocol.model).tokenizer).train


def numbers_of(computed: list[tuple[Any, ...]]) -> list[int]:
    """The generations that `_compute` was called for."""
    return [args[2] for args in computed]


@pytest.mark.parametrize("retained", [0.0, 0.25])
def test_a_run_trains_each_generation_on_the_last_one_s_text_and_the_retained_share(
    toy: Protocol, spy: Spy, monkeypatch: pytest.MonkeyPatch, retained: float
) -> None:
    protocol = toy.replace(retained=retained)
    trained = spy(training, "fine_tune")
    texts: list[np.ndarray] = []
    generate = decoding.generate
    monkeypatch.setattr(
        decoding, "generate", lambda *a, **k: texts.append(generate(*a, **k)) or texts[-1]
    )
    record = loop.run(protocol)
    human = human_blocks(protocol)
    trains = [args[1] for args in trained]
    assert len(trains) == len(texts) == 3
    assert np.array_equal(trains[0], human)
    kept = []
    for train, text in zip(trains[1:], texts[:-1], strict=True):
        is_human = (train == human).all(1)
        assert is_human.sum() == round(retained * len(human))
        assert np.array_equal(train[~is_human], text[~is_human])
        kept.append(tuple(np.flatnonzero(is_human)))
    assert retained == 0 or kept[0] != kept[1]
    assert record.generations["human_share"].tolist() == [1.0, retained, retained]


@pytest.mark.parametrize("prompts", ["human", "synthetic", "bos"])
@pytest.mark.parametrize("regime", ["replace", "accumulate"])
def test_prompts_are_the_human_blocks_in_order_or_what_the_protocol_says(
    toy: Protocol, spy: Spy, prompts: str, regime: str
) -> None:
    protocol = toy.replace(prompts=prompts, regime=regime)
    trained, prompted = spy(training, "fine_tune"), spy(decoding, "generate")
    loop.run(protocol)
    human = human_blocks(protocol)
    assert len(prompted) == 3
    for (_, train, *_), (_, given, new_tokens, *_) in zip(trained, prompted, strict=True):
        assert new_tokens == protocol.block_length
        expected = {
            "human": human,
            "synthetic": train[-len(human) :],
            "bos": np.full((len(human), 1), 2),
        }[prompts]
        assert np.array_equal(given, expected)


def test_an_accumulating_run_grows_and_a_subsampling_one_does_not(toy: Protocol, spy: Spy) -> None:
    trained = spy(training, "fine_tune")
    record = loop.run(toy.replace(regime="accumulate"))
    assert [len(args[1]) for args in trained] == [20, 40, 60]
    assert record.generations["human_share"].tolist() == pytest.approx([1, 1 / 2, 1 / 3])
    trained.clear()
    loop.run(toy.replace(regime="accumulate-subsample"))
    assert [len(args[1]) for args in trained] == [20, 20]  # generation 0 is shared


@pytest.mark.parametrize("init", ["pretrained", "previous"])
def test_a_generation_starts_from_the_weights_that_the_protocol_says(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch, init: str
) -> None:
    protocol = toy.replace(init=init)
    pretrained = models.load(protocol.model).model.state_dict()
    starts, ends = [], []
    fine_tune = training.fine_tune

    def noting(net: Any, *args: Any) -> Any:
        starts.append({name: value.clone() for name, value in net.state_dict().items()})
        history = fine_tune(net, *args)
        ends.append({name: value.clone() for name, value in net.state_dict().items()})
        return history

    monkeypatch.setattr(training, "fine_tune", noting)
    loop.run(protocol)
    assert len(starts) == 3
    expected = [pretrained] * 3 if init == "pretrained" else [pretrained, *ends[:-1]]
    for start, weights in zip(starts, expected, strict=True):
        assert all(torch.equal(start[name].cpu(), weights[name].cpu()) for name in weights)
    key = next(iter(pretrained))
    assert not torch.equal(ends[0][key].cpu(), pretrained[key])


def test_equal_steps_are_those_that_as_many_epochs_of_human_text_take(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    gradient = training.gradient
    monkeypatch.setattr(training, "gradient", lambda *a: trained.append(len(a[1])) or gradient(*a))
    accumulated = toy.replace(regime="accumulate")
    for protocol, blocks in (
        (accumulated, toy.epochs * (20 + 40 + 60)),
        (accumulated.replace(budget="steps"), toy.epochs * (20 + 20)),  # generation 0 is there
        (accumulated.replace(budget="steps", recovery=5, seed=1), toy.epochs * (20 + 20 + 5)),
    ):
        trained.clear()
        loop.run(protocol)
        assert sum(trained) == blocks


def test_a_recovery_goes_on_from_the_last_weights_on_unseen_text_alone(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, starts, ends = [], [], []
    fine_tune = training.fine_tune

    def noting(net: Any, train: np.ndarray, *args: Any) -> Any:
        seen.append(train)
        starts.append(copy.deepcopy(net.state_dict()))
        history = fine_tune(net, train, *args)
        ends.append(copy.deepcopy(net.state_dict()))
        return history

    monkeypatch.setattr(training, "fine_tune", noting)
    mended = loop.run(toy.replace(recovery=5))
    assert len(seen) == 3 and len(seen[-1]) == 5
    assert not {row.tobytes() for row in seen[-1]} & {row.tobytes() for row in human_blocks(toy)}
    assert all(torch.equal(starts[2][name], ends[1][name]) for name in ends[1])
    assert not all(torch.equal(starts[1][name], ends[0][name]) for name in ends[0])
    assert mended.generations["human_share"].tolist() == [1.0, 0.0, 1.0]
    # The perplexity after each epoch: of the best one, the row speaks as well.
    by_epoch = np.exp(mended.arrays["recovery_nll"].astype(float))
    assert len(by_epoch) == toy.epochs
    last = mended.generations.iloc[-1]
    assert by_epoch[int(last.best_epoch) - 1] == pytest.approx(last.valid_perplexity, rel=1e-5)
    stored = records.find(mended.protocol, records.built())
    assert stored is not None and "recovery_nll" in stored.arrays


def test_a_recovery_shares_what_came_before_and_makes_again_the_weights_that_it_lacks(
    toy: Protocol, spy: Spy, elsewhere: Callable[[str], None]
) -> None:
    elsewhere("alone")
    alone = loop.run(toy.replace(recovery=5))
    elsewhere("after")
    plain = loop.run(toy)
    computed = spy(loop, "_compute")
    mended = loop.run(toy.replace(recovery=5))
    assert numbers_of(computed) == [1, 2]  # generation 1 had left no weights
    assert mended.fingerprint == alone.fingerprint
    pd.testing.assert_frame_equal(mended.generations[:2], plain.generations[:2])
    computed.clear()
    loop.run(toy.replace(recovery=3))
    assert numbers_of(computed) == [2]
    assert loop.run(toy).fingerprint == plain.fingerprint


def test_a_run_is_refused_whose_human_text_would_not_last(toy: Protocol) -> None:
    with pytest.raises(ProtocolError, match=r"takes 5000 human blocks .* besides its 20; lower"):
        loop.run(toy.replace(recovery=5000))


def test_the_measures_of_a_record_are_those_of_its_tokens_and_weights(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, nets = [], []
    generate = decoding.generate

    def noting(net: Any, *args: Any) -> np.ndarray:
        nets.append({name: value.clone() for name, value in net.state_dict().items()})
        texts.append(generate(net, *args))
        return texts[-1]

    monkeypatch.setattr(decoding, "generate", noting)
    record = loop.run(toy)
    text = corpus.load_text(toy.corpus)
    base = models.load(toy.model)
    blocks = corpus.load_blocks(toy, text, base.tokenizer)
    net = base.model.to(models.device())
    zero_shot = np.exp(scoring.score(net, blocks.test, toy).nll.mean())
    assert record.base["zero_shot_perplexity"] == pytest.approx(zero_shot)
    for number, (weights, tokens) in enumerate(zip(nets, texts, strict=True)):
        row = record.generations.iloc[number]
        net.load_state_dict(weights)
        test, own = scoring.score(net, blocks.test, toy), scoring.score(net, tokens, toy)
        assert row.test_perplexity == pytest.approx(np.exp(test.nll.mean()))
        assert row.test_perplexity_low < row.test_perplexity < row.test_perplexity_high
        rows = [sample["row"] for sample in record.samples]
        on_human = scoring.score(net, blocks.following[rows], toy).nll
        assert record.arrays["sample_human_nll"][number] == pytest.approx(on_human)
        no_eos = test.nll[blocks.test[:, 1:] != base.tokenizer.eos_token_id]
        assert row.test_perplexity_no_eos == pytest.approx(np.exp(no_eos.mean()))
        assert row.predictive_entropy == pytest.approx(test.entropy.mean() / np.log(2))
        assert row.own_text_perplexity == pytest.approx(np.exp(own.nll.mean()))
        assert row.own_text_entropy == pytest.approx(own.entropy.mean() / np.log(2))
        gap = (test.nll - test.entropy).mean() / np.log(2)
        assert row.overconfidence == pytest.approx(gap, abs=1e-6)
        frozen = scoring.score(net, texts[0], toy).entropy
        assert row.reference_entropy == pytest.approx(frozen.mean() / np.log(2))
        stored = record.arrays["reference_entropy"][number]
        assert stored == pytest.approx(frozen.mean(1))
        frozen_nll = scoring.score(net, texts[0], toy).nll.mean(1)
        assert record.arrays["reference_nll"][number] == pytest.approx(frozen_nll)
        assert record.arrays["own_nll"][number] == pytest.approx(own.nll.mean(1))
        spelt = base.tokenizer.batch_decode(blocks.test[:, 1:], skip_special_tokens=True)
        spelt_bytes = sum(len(line.encode()) for line in spelt)
        bits = test.nll.sum() / np.log(2) / spelt_bytes
        assert row.bits_per_byte == pytest.approx(bits)
        assert np.array_equal(record.text[number], tokens)
        assert record.arrays["test_entropy"][number] == pytest.approx(test.entropy.mean(1))
        assert row.distinct_tokens == len(np.unique(tokens))
        assert base.tokenizer.eos_token_id not in tokens
        net.load_state_dict(nets[0])
        reference = scoring.score(net, tokens, toy).nll
        assert record.arrays["text_nll"][number] == pytest.approx(reference.mean(1))
        for sample, nll in zip(record.samples, record.arrays["sample_nll"][number], strict=True):
            assert sample["generations"][number] == base.tokenizer.decode(tokens[sample["row"]])
            assert nll == pytest.approx(reference[sample["row"]])
        assert np.array_equal(
            record.text_counts[number], np.bincount(tokens.ravel(), minlength=300)
        )
    assert np.array_equal(record.arrays["sample_human"], blocks.following[rows].ravel())
    assert record.samples[-1]["human"] == base.tokenizer.decode(blocks.following[-1])


# -- same protocol, same record --------------------------------------------------------------


@pytest.mark.parametrize("init", ["pretrained", "previous"])
def test_two_machines_leave_the_same_record(
    toy: Protocol, elsewhere: Callable[[str], None], init: str
) -> None:
    found = []
    for place in ("here", "there"):
        elsewhere(place)
        torch.rand(len(place))  # torch's own generator is in another state
        found.append(loop.run(toy.replace(init=init)))
    assert found[0].fingerprint == found[1].fingerprint
    stored = records.find(toy.replace(init=init), records.built())
    assert stored is not None and stored.fingerprint == found[0].fingerprint


def test_what_ran_before_in_the_same_process_changes_nothing(
    toy: Protocol, elsewhere: Callable[[str], None]
) -> None:
    expected = loop.run(toy).fingerprint
    elsewhere("there")
    for change in ({"seed": 1}, {"init": "previous", "generations": 2}, {"lr": 2e-2}):
        loop.run(toy.replace(**change))
    assert loop.run(toy).fingerprint == expected


def test_a_model_of_another_architecture_runs_and_says_what_writes_its_text(
    toy: Protocol, tokenizer: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        n_embd=16, n_layer=1, n_head=2, vocab_size=300, n_positions=64, bos_token_id=2,
        eos_token_id=2,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "other")
    tokenizer.save_pretrained(tmp_path / "other")
    protocol = toy.replace(model=sources.name_model(str(tmp_path / "other")), generations=2)
    record = loop.run(protocol)
    assert "GPT2LMHeadModel is not an architecture of this book's" in capsys.readouterr().out
    assert len(record.generations) == 2
    loop.run(toy.replace(generations=1))
    assert "not an architecture" not in capsys.readouterr().out


def test_another_seed_leaves_another_record(toy: Protocol) -> None:
    one, two = loop.run(toy), loop.run(toy.replace(seed=1))
    for column in ("test_perplexity", "own_text_perplexity"):
        assert (one.generations[column] != two.generations[column]).all()


def test_a_chain_begins_like_a_longer_one(toy: Protocol, elsewhere: Callable[[str], None]) -> None:
    long = loop.run(toy)
    elsewhere("there")
    short = loop.run(toy.replace(generations=2))
    assert long.truncated(2).fingerprint == short.fingerprint


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
    toy: Protocol, elsewhere: Callable[[str], None], spy: Spy
) -> None:
    elsewhere("undisturbed")
    expected = loop.run(toy).fingerprint
    elsewhere("killed")
    command = [sys.executable, "-c", KILLED, json.dumps(toy.to_dict())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert records.list_records(records.built()) == []
    assert len(list((assets.cache_dir() / "generations").glob("*/facts.json"))) == 1
    computed = spy(loop, "_compute")
    assert loop.run(toy).fingerprint == expected
    assert numbers_of(computed) == [1, 2]


@pytest.mark.parametrize("init", ["pretrained", "previous"])
@pytest.mark.parametrize("where", ["fine_tune", "score", "generate", "save"])
@pytest.mark.parametrize("call", [2, 3])
def test_a_run_stopped_anywhere_ends_with_the_same_record(
    toy: Protocol,
    elsewhere: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    init: str,
    where: str,
    call: int,
) -> None:
    protocol = toy.replace(init=init)
    elsewhere("undisturbed")
    expected = loop.run(protocol).fingerprint
    elsewhere("stopped")
    module = {"fine_tune": training, "score": scoring, "generate": decoding, "save": np}[where]
    real, calls = getattr(module, where), []

    def stopping(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(module, where, stopping)
        with pytest.raises(KeyboardInterrupt):
            loop.run(protocol)
    assert loop.run(protocol).fingerprint == expected


def test_a_full_disk_is_told_in_one_sentence_and_leaves_nothing_half_written(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    loop.prepare(toy)  # its tokens are kept: what the disk has no place for is a generation
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        with pytest.raises(AssetError, match="No space left on device") as refusal:
            loop.run(toy)
    assert "\n" not in str(refusal.value)
    assert list((assets.cache_dir() / "generations").iterdir()) == []
    assert loop.run(toy).protocol == toy


def test_too_little_free_space_is_refused_before_anything_is_computed(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch, spy: Spy
) -> None:
    loaded = spy(models, "load")
    usage = shutil.disk_usage("/")._replace(free=10 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(FitError, match=r"of disk at .* where 10 MiB are free"):
        loop.run(toy, observer=Watch())
    assert loaded == []


def test_a_finished_run_computes_nothing_again(toy: Protocol, spy: Spy) -> None:
    first = loop.run(toy)
    computed = spy(loop, "_compute")
    assert loop.run(toy).fingerprint == first.fingerprint
    assert computed == []


def damage(path: Path, kept: int | str | None) -> None:
    """Remove a file, cut it to a number of bytes, or change one byte in it."""
    if kept is None:
        path.unlink()
    elif isinstance(kept, int):
        path.write_bytes(path.read_bytes()[:kept])
    else:
        content = path.read_bytes()
        place = content.rindex(b"1") if path.suffix == ".json" else len(content) - 20
        changed = b"2" if path.suffix == ".json" else bytes([content[place] ^ 1])
        path.write_bytes(content[:place] + changed + content[place + 1 :])


@pytest.mark.parametrize("name", ["facts.json", "arrays.npz", "tokens.npy"])
@pytest.mark.parametrize("kept", [None, 0, 30, "one byte changed"])
def test_a_damaged_generation_in_the_cache_is_computed_again_and_that_is_said(
    toy: Protocol, name: str, kept: int | str | None, spy: Spy, capsys: pytest.CaptureFixture[str]
) -> None:
    short = toy.replace(generations=1)
    expected = loop.run(short).fingerprint
    (folder,) = (assets.cache_dir() / "generations").iterdir()
    damage(folder / name, kept)
    computed = spy(loop, "_compute")
    capsys.readouterr()
    assert loop.run(short).fingerprint == expected
    assert numbers_of(computed) == [0]
    (told,) = [line for line in capsys.readouterr().out.splitlines() if "cannot be read" in line]
    assert str(folder) in told and told.endswith("it is computed again")
    computed.clear()
    assert loop.run(short).fingerprint == expected
    assert computed == []
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("kept", [0, 30, "one byte changed"])
def test_damaged_weights_are_computed_again_where_they_are_needed(
    toy: Protocol, kept: int | str, spy: Spy, capsys: pytest.CaptureFixture[str]
) -> None:
    chained = toy.replace(init="previous", generations=2)
    loop.run(chained)
    longest = chained.replace(generations=3)
    for weights in assets.cache_dir().rglob("weights.pt"):
        damage(weights, kept)
    computed = spy(loop, "_compute")
    capsys.readouterr()
    mended = loop.run(longest)
    # Of generation 2's start, generation 1, and of that one's start.
    assert numbers_of(computed) == [0, 1, 2]
    assert capsys.readouterr().out.count("they are computed again") == 2
    for folder in (assets.cache_dir() / "generations").iterdir():
        shutil.rmtree(folder)
    assert loop.run(longest).fingerprint == mended.fingerprint


def test_arms_that_begin_alike_share_generation_0(toy: Protocol, spy: Spy) -> None:
    computed = spy(loop, "_compute")
    loop.run(toy)
    loop.run(toy.replace(retained=0.25))
    loop.run(toy.replace(init="previous"))
    assert numbers_of(computed) == [0, 1, 2, 1, 2, 1, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 3}, {"lr": 2e-2}, {"lr_end": 1e-4}, {"batch": 4}, {"selection": "last"},
        {"seed": 1}, {"train_blocks": 19}, {"eval_blocks": 7}, {"block_length": 9},
        {"decoding": "greedy"}, {"temperature": 0.5}, {"top_p": 0.5}, {"eos": "allow"},
        {"repetition_penalty": 2.0}, {"prompts": "bos"}, {"precision": "bf16"},
    ],
)  # fmt: skip
def test_whatever_changes_generation_0_is_computed_anew(
    toy: Protocol, spy: Spy, change: dict[str, Any]
) -> None:
    short = toy.replace(generations=1)
    loop.run(short)
    computed = spy(loop, "_compute")
    loop.run(short.replace(**change))
    assert numbers_of(computed) == [0]


def test_other_code_or_versions_reuse_no_finished_generation(
    toy: Protocol, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.run(toy)
    computed = spy(loop, "_compute")
    other = {**provenance.numerics(), "torch": "0.1"}
    monkeypatch.setattr(provenance, "numerics", lambda: other)
    loop.run(toy)
    assert numbers_of(computed) == [0, 1, 2]


def test_a_cache_that_came_without_weights_gives_the_same_record(
    toy: Protocol, elsewhere: Callable[[str], None], spy: Spy
) -> None:
    elsewhere("whole")
    expected = loop.run(toy).fingerprint
    elsewhere("carried")
    loop.run(toy.replace(generations=1))
    (weights,) = assets.cache_dir().rglob("weights.pt")
    weights.unlink()
    computed = spy(loop, "_compute")
    assert loop.run(toy).fingerprint == expected
    assert numbers_of(computed) == [1, 2]


PLAIN = """
import json, sys
from collapse.experiment import loop
from collapse.experiment.protocol import Protocol
loop.run(Protocol.from_dict(json.loads(sys.argv[1])))
"""


def test_runs_at_the_same_time_compute_what_they_share_once_and_keep_the_weights(
    toy: Protocol, elsewhere: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, spy: Spy
) -> None:
    elsewhere("alone")
    expected = loop.run(toy.replace(recovery=5)).fingerprint
    elsewhere("together")
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

    computed = spy(loop, "_compute")
    monkeypatch.setattr(decoding, "generate", writing)
    assert loop.run(toy.replace(recovery=5)).fingerprint == expected
    said += other[0].communicate()[0].splitlines()
    assert other[0].returncode == 0
    assert numbers_of(computed) == [0, 1, 2]
    assert ["from the cache" in line for line in said if "test perplexity" in line] == [
        True, True, False,
    ]  # fmt: skip


def test_a_replacement_stopped_half_way_loses_no_generation(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch, spy: Spy
) -> None:
    expected = loop.run(toy).fingerprint
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        loop.run(toy.replace(recovery=5))  # has generation 1 replaced by one with weights
    computed = spy(loop, "_compute")
    assert loop.run(toy).fingerprint == expected
    assert computed == []


def test_processors_of_other_instructions_share_no_generation(
    toy: Protocol, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = toy.replace(generations=1)
    loop.run(short)
    computed = spy(loop, "_compute")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "ANOTHER")
    provenance.numerics.cache_clear()
    try:
        loop.run(short)
    finally:
        provenance.numerics.cache_clear()
    assert numbers_of(computed) == [0]


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


def test_a_chained_run_whose_weights_are_gone_gives_the_same_record(toy: Protocol) -> None:
    protocol = toy.replace(init="previous")
    expected = loop.run(protocol).fingerprint
    for weights in assets.cache_dir().rglob("weights.pt"):
        weights.unlink()
    assert loop.run(protocol).fingerprint == expected


# -- refusals --------------------------------------------------------------------------------


def test_a_block_longer_than_the_model_s_context_is_refused(toy: Protocol) -> None:
    with pytest.raises(ProtocolError, match=r"block_length=33 .* give at most 32"):
        loop.run(toy.replace(block_length=33))


def test_a_start_token_that_the_tokenizer_lacks_is_refused(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = models.load

    def without_start(*args: Any) -> models.Base:
        base = load(*args)
        base.tokenizer.bos_token = None
        return base

    monkeypatch.setattr(models, "load", without_start)
    with pytest.raises(ProtocolError, match="prompts='bos' needs a start token"):
        loop.run(toy.replace(prompts="bos"))


# -- arms ------------------------------------------------------------------------------------


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Seeds 0 and 1 are recorded; running a seed only notes it in the list given."""
    folder, ran = tmp_path / "records", []
    for seed in (0, 1):
        records.write(make_record(Protocol(generations=3, seed=seed)), folder)

    def run(protocol: Protocol, scale: str) -> records.Record:
        ran.append(protocol.seed)
        return make_record(protocol, scale=scale)

    monkeypatch.setattr(records, "published", lambda: folder)
    monkeypatch.setattr(loop, "run", run)
    return ran


@pytest.mark.parametrize(
    ("compute", "shown", "ran"),
    [
        ("none", [0, 1], []),
        ("missing", [0, 1, 2, 3], [2, 3]),
        ("seed", [0, 1, 3], [3]),
        ("all", [0, 1, 2, 3], [0, 1, 2, 3]),
    ],
)
def test_an_arm_is_read_or_computed_as_it_is_told(
    shelf: list[int], compute: str, shown: list[int], ran: list[int]
) -> None:
    protocol = Protocol(generations=3, seed=3)
    arm = Arm(protocol, [2, 1, 0], compute)
    assert [run.seed for run in loop.missing(arm)] == ran
    runs = loop.arm(arm, "laptop")
    assert [run.record.protocol.seed for run in runs] == shown
    assert shelf == ran
    assert [run.record.protocol.seed for run in runs if run.computed] == ran
    assert {run.record.provenance["scale"] for run in runs if run.computed} <= {"laptop"}


def test_a_seed_that_is_recorded_is_computed_again_where_it_is_the_one_asked_for(
    shelf: list[int],
) -> None:
    runs = loop.arm(Arm(Protocol(generations=3, seed=1), [0, 1], "seed"))
    assert shelf == [1]
    assert [run.computed for run in runs] == [False, True]


def test_a_recorded_longer_chain_serves_a_shorter_arm(shelf: list[int]) -> None:
    runs = loop.arm(Arm(Protocol(generations=2), [0, 1], "none"))
    assert [len(run.record.generations) for run in runs] == [2, 2]


def test_an_unknown_way_to_compute_is_refused() -> None:
    with pytest.raises(ProtocolError, match="compute='some' is not one of: missing, seed"):
        Arm(Protocol(), [0], "some")
