"""The decoder: token for token what `transformers` writes, and samples from the right law."""

import functools
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from collapse.experiment import decoding, kv_cache
from collapse.experiment.protocol import Protocol
from toy_models import llama, opt

VOCABULARY, EOS, NEW = 60, 2, 12


def make(kind: str) -> Any:
    """A small model whose predictions are neither flat nor certain."""
    special = {
        "vocab_size": VOCABULARY, "max_position_embeddings": 64,
        "bos_token_id": EOS, "eos_token_id": EOS, "pad_token_id": 1,
    }  # fmt: skip
    return {"opt": opt, "llama": llama}[kind](**special)


MODELS = {kind: make(kind) for kind in ("opt", "llama")}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]


def prompts(rows: int, length: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, VOCABULARY, (rows, length)).astype(np.int32)


def by_transformers(model: Any, given: np.ndarray, new: int, **options: Any) -> np.ndarray:
    ids = torch.from_numpy(given.astype(np.int64))
    written = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new,
        top_k=0, **options,
    )  # fmt: skip
    return written[:, given.shape[1] :].numpy()


def next_probabilities(model: Any, prompt: np.ndarray) -> np.ndarray:
    """Of the token after one prompt, at temperature 1, as float64."""
    with torch.inference_mode():
        logits = model(torch.from_numpy(prompt[None].astype(np.int64))).logits[0, -1]
    return torch.softmax(logits.double(), -1).numpy()


def test_the_models_of_these_tests_are_neither_flat_nor_certain(model: Any) -> None:
    entropies = [stats.entropy(next_probabilities(model, row)) for row in prompts(50)]
    assert 0.3 < np.mean(entropies) / np.log(VOCABULARY) < 0.9


@pytest.mark.parametrize("penalty", [1.0, 2.0, 3.0])
@pytest.mark.parametrize(
    ("way", "beams", "rows"), [("greedy", 1, 7), ("beam", 5, 7), ("beam", 2, 9)]
)
def test_deterministic_decoding_is_that_of_transformers_token_for_token(
    model: Any,
    way: str,
    beams: int,
    rows: int,
    penalty: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Uneven batches and parts, and dead nodes swept out several times.
    for name, value in (("ROWS", 17), ("PART", 6), ("SWEEP", 3)):
        monkeypatch.setattr(decoding, name, value)
    given = prompts(rows)
    protocol = Protocol(decoding=way, beams=beams, repetition_penalty=penalty)
    found = decoding.generate(model, given, NEW, protocol, EOS)
    expected = by_transformers(
        model, given, NEW, do_sample=False, num_beams=beams, repetition_penalty=penalty
    )
    assert found.dtype == np.int32
    assert found.tolist() == expected.tolist()
    if penalty == 3.0:  # the setting has an effect, so the agreement says something
        usual = decoding.generate(model, given, NEW, protocol.replace(repetition_penalty=1.0), EOS)
        assert found.tolist() != usual.tolist()


@functools.cache
def trained(kind: str) -> Any:
    """A small model that has learned to count: its beams come from one ancestor."""
    net = make(kind).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    random = np.random.default_rng(0)
    for _ in range(60):
        starts, steps = random.integers(0, VOCABULARY, (16, 1)), random.integers(1, 4, (16, 1))
        ids = torch.from_numpy((starts + steps * np.arange(20)) % VOCABULARY)
        net(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return net.eval()


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(("beams", "penalty"), [(5, 1.0), (5, 2.0), (5, 3.0), (1, 1.0)])
def test_beams_of_a_trained_model_are_those_of_transformers(
    kind: str, beams: int, penalty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("PART", 30), ("SWEEP", 4)):
        monkeypatch.setattr(decoding, name, value)
    net, given = trained(kind), prompts(23, seed=2)
    protocol = Protocol(decoding="beam", beams=beams, repetition_penalty=penalty)
    found = decoding.generate(net, given, 30, protocol, EOS)
    expected = by_transformers(
        net, given, 30, do_sample=False, num_beams=beams, repetition_penalty=penalty
    )
    assert found.tolist() == expected.tolist()


def test_sweeping_leaves_fewer_nodes_and_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    net, given, protocol = trained("opt"), prompts(23, seed=2), Protocol(decoding="beam")
    ends = []
    sweep = kv_cache.Memory.sweep

    def spy(kept: Any) -> Any:
        before = kept.end
        order, after = sweep(kept)
        ends.append((before, max(after)))
        return order, after

    monkeypatch.setattr(kv_cache.Memory, "sweep", spy)
    monkeypatch.setattr(decoding, "SWEEP", 10)
    found = decoding.generate(net, given, 30, protocol, EOS)
    assert len(ends) == 2 and all(after < before for before, after in ends)
    monkeypatch.setattr(decoding, "SWEEP", 1000)
    assert decoding.generate(net, given, 30, protocol, EOS).tolist() == found.tolist()
    assert len(ends) == 2


@pytest.mark.parametrize("way", ["greedy", "beam", "sample"])
def test_the_number_of_threads_changes_no_text(model: Any, way: str) -> None:
    given, protocol, found = prompts(13), Protocol(decoding=way), []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(decoding.generate(model, given, NEW, protocol, EOS).tolist())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("way", ["greedy", "beam", "sample"])
def test_the_end_token_is_written_only_where_it_is_allowed(model: Any, way: str) -> None:
    given = prompts(60)
    # Take for end token what is written most often when all is allowed.
    free = Protocol(decoding=way, eos="allow")
    written = decoding.generate(model, given, NEW, free, EOS)
    end = int(np.bincount(written.ravel()).argmax())
    suppressed = decoding.generate(model, given, NEW, free.replace(eos="suppress"), end)
    assert end in decoding.generate(model, given, NEW, free, end)
    assert end not in suppressed
    assert suppressed.shape == (60, NEW)
    # A tokeniser without an end token needs no suppression.
    none = decoding.generate(model, given, NEW, free.replace(eos="suppress"), None)
    assert none.tolist() == written.tolist()


# -- sampling --------------------------------------------------------------------------------

DRAWS = 10_000


def pooled(*rows: np.ndarray) -> np.ndarray:
    """Columns of small expected counts taken together, so that chi-square applies."""
    table = np.array(rows, float)
    small = table.sum(0) < 20
    return np.column_stack([table[:, ~small], table[:, small].sum(1)])


def drawn(model: Any, prompt: np.ndarray, new: int, seed: int = 0, **fields: Any) -> np.ndarray:
    protocol = Protocol(decoding="sample", eos="allow", **fields)
    return decoding.generate(model, np.tile(prompt, (DRAWS, 1)), new, protocol, EOS, seed)


def assert_drawn_from(tokens: np.ndarray, probabilities: np.ndarray) -> None:
    counts = np.bincount(tokens, minlength=VOCABULARY)
    assert counts[probabilities == 0].sum() == 0
    observed, expected = pooled(counts, probabilities * len(tokens))
    if expected[-1] == 0:
        observed, expected = observed[:-1], expected[:-1]
    assert len(observed) > 5
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_first_tokens_follow_the_softmax_at_a_temperature(model: Any) -> None:
    prompt = prompts(1)[0]
    tempered = next_probabilities(model, prompt) ** (1 / 0.7)
    found = drawn(model, prompt, 1, temperature=0.7)[:, 0]
    assert_drawn_from(found, tempered / tempered.sum())


def test_top_p_draws_from_the_nucleus_and_nothing_else(model: Any) -> None:
    prompt = prompts(1, seed=5)[0]
    probabilities = next_probabilities(model, prompt)
    nucleus: list[int] = []
    for token in sorted(range(VOCABULARY), key=lambda token: -probabilities[token]):
        nucleus.append(token)
        if probabilities[nucleus].sum() >= 0.8:
            break
    assert 5 < len(nucleus) < VOCABULARY / 2
    kept = np.zeros(VOCABULARY)
    kept[nucleus] = probabilities[nucleus]
    found = drawn(model, prompt, 1, top_p=0.8)[:, 0]
    assert set(found.tolist()) == set(nucleus)
    assert_drawn_from(found, kept / kept.sum())


@pytest.mark.parametrize(
    "fields",
    [
        {"repetition_penalty": 2.0},
        {"temperature": 1.5, "top_p": 0.7, "repetition_penalty": 1.5},
    ],
)
def test_second_tokens_follow_the_law_of_transformers(model: Any, fields: dict[str, float]) -> None:
    prompt = prompts(1, seed=7)[0]
    torch.manual_seed(0)
    theirs = by_transformers(model, np.tile(prompt, (DRAWS, 1)), 2, do_sample=True, **fields)
    protocol = Protocol(decoding="sample", **fields)  # EOS suppressed, as by min_new_tokens
    ours = decoding.generate(model, np.tile(prompt, (DRAWS, 1)), 2, protocol, EOS, 0)
    counts = [np.bincount(tokens[:, 1], minlength=VOCABULARY) for tokens in (ours, theirs)]
    table = pooled(*counts)
    table = table[:, table.sum(0) > 0]
    assert table.shape[1] > 5
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_batching_does_not_change_a_sample(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given, protocol = prompts(23), Protocol(decoding="sample", top_p=0.9)
    found = []
    for rows in (1, 5, 23, 1000):
        monkeypatch.setattr(decoding, "ROWS", rows)
        found.append(decoding.generate(model, given, NEW, protocol, EOS, seed=3).tolist())
    assert found[0] == found[1] == found[2] == found[3]


def test_a_seed_gives_one_sample_and_another_seed_or_row_another(model: Any) -> None:
    given, protocol = np.tile(prompts(1), (8, 1)), Protocol(decoding="sample")
    one, same, other = (decoding.generate(model, given, NEW, protocol, EOS, s) for s in (1, 1, 2))
    assert one.tolist() == same.tolist()
    assert one.tolist() != other.tolist()
    assert len({tuple(row) for row in one.tolist()}) == 8


def test_progress_counts_prompts(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "ROWS", 10)
    told: list[tuple[str, int, int]] = []
    protocol = Protocol(decoding="beam", beams=5)
    decoding.generate(model, prompts(5), 2, protocol, EOS, progress=lambda *now: told.append(now))
    # Ten sequences at once are two prompts with five beams each, so there are three batches.
    done = [0, *(now for _, now, _ in told)]
    assert [(what, total) for what, _, total in told] == [("writing", 5)] * 3
    assert sorted(np.diff(done)) == [1, 2, 2] and done[-1] == 5
