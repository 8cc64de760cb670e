"""Plans, against what runs really do and leave; refusals, against the plan of what they advise."""

import dataclasses
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from test_records import make_record
from transformers import OPTConfig, OPTForCausalLM, T5Config

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
    training_text,
)
from collapse.experiment.protocol import Arm, Protocol, ProtocolError
from collapse.sweeps import cost, fit, plan, units, work
from collapse.sweeps.estimate import Speed
from collapse.sweeps.work import Job

SHAPE = cost.Shape(
    layers=2, width=16, heads=2, kv_heads=2, head_dim=8, ffn=32, mlp_matrices=2, vocabulary=300,
    parameters=10_000,
)  # fmt: skip


def make_job(train: int = 1000, **changes: Any) -> Job:
    return Job(Protocol(**changes), SHAPE, train, valid=30, test=40)


# -- counts, against a run -------------------------------------------------------------------

RUNS = [
    {},
    {"regime": "accumulate", "generations": 4},
    {"regime": "accumulate", "budget": "steps"},
    {"init": "previous", "epochs": 1},
    {"recovery": 9},
    {"retained": 0.5, "retains": "fresh", "generations": 2},
    {"prompts": "bos", "decoding": "beam", "beams": 2, "generations": 1},
]


@pytest.mark.parametrize("changes", RUNS)
def test_a_plan_counts_the_blocks_that_a_run_is_given(
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
    protocol = toy.replace(**changes)
    [job] = plan.jobs([protocol])
    loop.run(protocol)
    assert dataclasses.asdict(work.work(job)) == done


@pytest.mark.parametrize("changes", RUNS)
def test_a_plan_s_disk_is_a_little_more_than_a_run_leaves(
    toy: Protocol, changes: dict[str, Any]
) -> None:
    protocol = toy.replace(train_blocks=150, eval_blocks=30, **changes)
    [job] = plan.jobs([protocol])
    loop.run(protocol)
    for folder, planned in (
        (assets.cache_dir() / "generations", work.cached_bytes(job)),
        (records.built(), work.recorded_bytes(job)),
    ):
        left = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert left <= planned <= 4 * left


def test_a_run_s_seconds_are_those_of_its_blocks(toy: Protocol) -> None:
    speed = Speed(trained=1.0, scored=0.5, written=0.25)
    [job] = plan.jobs([toy.replace(regime="accumulate")])
    whole = work.seconds(job, speed)
    # Generations of 20, 40 and 60 blocks in 2 epochs; 8 blocks to validate and to test, 6 samples.
    # The first reads its text once; the later two theirs as themselves and as generation 0, and
    # generation 0's.
    scored = 3 * (2 * 8 + 8 + 6) + 20 + 2 * 3 * 20 + 8
    assert whole == 2 * 120 * 1.0 + scored * 0.5 + 60 * 0.25


def test_blocks_are_counted_as_they_are_cut(toy: Protocol) -> None:
    protocol = toy.replace(train_blocks=0, eval_blocks=0)
    text = corpus.load_text(protocol.corpus)
    blocks = corpus.load_blocks(protocol, text, models.load(protocol.model).tokenizer)
    [job] = plan.jobs([protocol])
    found = (job.train, job.valid, job.test)
    assert found == (len(blocks.train), len(blocks.valid), len(blocks.test))


def test_a_share_of_less_than_a_block_is_refused_before_any_compute(toy: Protocol) -> None:
    for share, kept in ((0.1, 0), (0.9, 4)):
        few = toy.replace(train_blocks=4, retained=share)
        for refuses in (plan.jobs, lambda protocols: loop.run(protocols[0])):
            with pytest.raises(ProtocolError, match=f"of 4 blocks comes to {kept} of them"):
                refuses([few])
    [job] = plan.jobs([toy.replace(train_blocks=6, retained=0.1)])
    assert len(training_text.retained_rows(job.train, job.protocol, 1)) == 1


def test_a_plan_for_a_text_without_a_block_is_refused(toy: Protocol, tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("rain\n" * 12)
    short = toy.replace(
        corpus=sources.name_text(str(path)), train_blocks=0, eval_blocks=0, block_length=64
    )
    for name in (toy.model, "mini", "some/where"):
        with pytest.raises(assets.AssetError, match=r"the text short\.txt makes 0 blocks of 64"):
            plan.jobs([short.replace(model=name)])


def test_blocks_of_a_long_text_are_counted_from_a_part_of_it(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = toy.replace(train_blocks=0, eval_blocks=0)
    [exact] = plan.jobs([protocol])
    monkeypatch.setattr(plan, "SAMPLED_LINES", 40)
    [sampled] = plan.jobs([protocol])
    assert sampled.train == pytest.approx(exact.train, rel=0.1)


def test_the_shape_of_a_model_is_read_without_its_weights(
    toy: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = models.load(toy.model).parameters
    monkeypatch.setattr(models, "load", None)
    [job] = plan.jobs([toy])
    assert job.shape is not None and job.shape.parameters == expected
    assert (job.shape.layers, job.shape.width, job.shape.vocabulary) == (2, 16, 300)


@pytest.mark.parametrize(
    ("name", "millions"), [("facebook/opt-125m", 125.2), ("smollm2-135m", 134.5)]
)
def test_the_book_s_models_are_known_before_they_are_here(name: str, millions: float) -> None:
    protocol = Protocol(model=name, train_blocks=10, eval_blocks=10)
    [job] = plan.jobs([protocol])
    assert job.shape is not None
    assert job.shape.parameters / 1e6 == pytest.approx(millions, rel=1e-3)
    said = plan.absent(protocol)
    assert any("the text has first to be fetched (23 MB)" in line for line in said)
    assert any(name in line and "MB" in line for line in said)


def test_the_book_s_own_bases_are_always_here() -> None:
    protocol = Protocol(model="mini", train_blocks=10, eval_blocks=10)
    [job] = plan.jobs([protocol])
    assert job.shape is not None
    assert job.shape.parameters == models.load("mini").parameters
    assert plan.absent(protocol) == ["the text has first to be fetched (23 MB)"]
    assert plan.absent(protocol.replace(corpus="sotu")) == []


def test_of_a_model_that_is_not_here_only_text_is_planned() -> None:
    protocol = Protocol(model="some/where", train_blocks=10, eval_blocks=10)
    jobs = plan.jobs([protocol])
    fit.check(jobs)
    drawn = plan.draw_up(jobs, plan.calibrate(jobs))
    assert drawn.operations is None and drawn.seconds is None
    assert drawn.trained == 10 * 5 * 10 * 64
    assert dict(plan.table(drawn))["time"] == "not known before the base is here"


def test_a_model_that_is_refused_later_does_not_stop_a_plan(tmp_path: Path) -> None:
    T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2).save_pretrained(tmp_path)
    jobs = plan.jobs([Protocol(model=str(tmp_path), train_blocks=10, eval_blocks=10)])
    assert jobs[0].shape is None


def test_memory_is_a_little_more_than_a_training_step_holds() -> None:
    config = OPTConfig(
        vocab_size=2000, hidden_size=64, word_embed_proj_dim=64, num_hidden_layers=2,
        num_attention_heads=2, ffn_dim=256, max_position_embeddings=64,
    )  # fmt: skip
    net = OPTForCausalLM(config).train()
    shape = cost.shape(config, sum(p.numel() for p in net.parameters()))
    ids = torch.randint(3, 2000, (16, 32))
    with torch.profiler.profile(profile_memory=True) as profile:
        net(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    events = profile.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    peak = np.cumsum([change for _, change in changes]).max()
    job = Job(Protocol(batch=16, block_length=32), shape, train=16, valid=1, test=1)
    others = 6 * cost.weight_bytes(shape)  # all copies of the weights but the gradients
    assert peak < work.model_memory(job) - others < 1.5 * peak


# -- whether it fits -------------------------------------------------------------------------

ENOUGH = 2**50


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Pretend to so many free bytes of memory and of disk."""

    def pretend(memory: int, disk: int) -> None:
        monkeypatch.setattr(fit, "_main_memory", lambda: memory)
        monkeypatch.setattr(fit, "_gpu_memory", lambda: memory)
        monkeypatch.setattr(fit, "_disk", lambda _: disk)

    return pretend


def refusal(jobs: list[Job]) -> str:
    with pytest.raises(fit.FitError) as refused:
        fit.check(jobs)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def advised(said: str) -> dict[str, int]:
    return {n: int(v) for n, v in re.findall(r"(\w+)=(\d+)", said.split("give at most")[1])}


def test_what_fits_is_not_refused(free: Callable[[int, int], None]) -> None:
    free(ENOUGH, ENOUGH)
    fit.check([make_job()])
    fit.check([])


@given(
    train=st.integers(2, 10**6),
    generations=st.integers(1, 20),
    runs=st.integers(1, 4),
    share=st.floats(0.02, 0.99),
)
def test_what_a_refusal_for_disk_advises_fits_and_one_more_does_not(
    train: int, generations: int, runs: int, share: float
) -> None:
    jobs = [make_job(train, generations=generations, seed=seed) for seed in range(runs)]
    need = sum(work.cached_bytes(job) + work.recorded_bytes(job) for job in jobs)
    least = sum(
        work.cached_bytes(job) + work.recorded_bytes(job)
        for job in (job.lowered("train_blocks", 1) for job in jobs)
    )
    there = least + int(share * (need - least))
    if there >= need:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "_main_memory", lambda: ENOUGH)
        patch.setattr(fit, "_gpu_memory", lambda: ENOUGH)
        patch.setattr(fit, "_disk", lambda _: fit.SPARE + there)
        advice = advised(refusal(jobs))
        assert "train_blocks" in advice
        for name, value in advice.items():
            fit.check([job.lowered(name, value) for job in jobs])
            refusal([job.lowered(name, value + 1) for job in jobs])


@given(train=st.integers(10, 10**6), batch=st.integers(2, 1024), share=st.floats(0.01, 0.99))
def test_what_a_refusal_for_memory_advises_fits_and_one_more_does_not(
    train: int, batch: int, share: float
) -> None:
    job = make_job(train, batch=batch)
    least = work.memory(job.lowered("train_blocks", 1))
    there = least + int(share * (work.memory(job) - least))
    if there >= work.memory(job):
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit.model, "device", lambda: torch.device("cpu"))
        patch.setattr(fit, "_main_memory", lambda: there)
        patch.setattr(fit, "_disk", lambda _: ENOUGH)
        advice = advised(refusal([job]))
        assert "train_blocks" in advice
        for name, value in advice.items():
            fit.check([job.lowered(name, value)])
            refusal([job.lowered(name, value + 1)])


def test_where_each_setting_alone_is_not_enough_both_are_lowered(
    free: Callable[[int, int], None],
) -> None:
    job = make_job(10**6, init="previous", generations=10)  # weights of all, text of all
    one_block, one_generation = job.lowered("train_blocks", 1), job.lowered("generations", 1)

    def disk(job: Job) -> int:
        return fit.SPARE + work.cached_bytes(job) + work.recorded_bytes(job)

    there = min(disk(one_block), disk(one_generation)) - 1
    free(ENOUGH, there)
    said = refusal([job])
    assert said.endswith("with generations=1")
    blocks = advised(said)["train_blocks"]
    fit.check([one_generation.lowered("train_blocks", blocks)])
    refusal([one_generation.lowered("train_blocks", blocks + 1)])


@pytest.mark.parametrize("what", ["memory", "disk"])
def test_a_model_that_cannot_fit_at_all_is_named(
    free: Callable[[int, int], None], what: str
) -> None:
    free(*((1000, ENOUGH) if what == "memory" else (ENOUGH, fit.SPARE + 1000)))
    said = refusal([make_job(model="facebook/opt-125m")])
    assert said.startswith("model='facebook/opt-125m' needs ")
    assert "choose a smaller model" in said


def test_a_refusal_says_what_is_needed_and_what_there_is(
    free: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    free(ENOUGH, fit.SPARE + 2**20)
    said = refusal([make_job(4 * 10**6, generations=3)])
    # Bytes of its tokens in the cache and in the record, and of five numbers a block in each.
    text = 3 * 4 * 10**6 * (64 * (4 + 2) + 2 * 5 * 4)
    need = re.search(
        r"^train_blocks=4000000 with generations=3 needs ([\d.]+) GiB of disk at", said
    )
    assert need and text < float(need[1]) * 2**30 < 1.05 * text + fit.SPARE
    assert "where 201 MiB are free" in said


def test_a_gpu_s_memory_and_main_memory_are_asked_apart(
    free: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    free(ENOUGH, ENOUGH)
    monkeypatch.setattr(models, "device", lambda: torch.device("cuda"))
    job = make_job(10**6, decoding="beam", beams=30)
    monkeypatch.setattr(fit, "_gpu_memory", lambda: work.model_memory(job.lowered("beams", 20)))
    assert advised(refusal([job])) == {"beams": 20}
    monkeypatch.setattr(fit, "_gpu_memory", lambda: ENOUGH)
    small = job.lowered("train_blocks", 5000)
    monkeypatch.setattr(fit, "_main_memory", lambda: work.token_memory(small))
    assert advised(refusal([job])) == {"train_blocks": 5000}


# -- the command -----------------------------------------------------------------------------


@pytest.fixture
def planned(toy: Protocol, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Protocol:
    """The protocol that the chapter `own` needs; `shared` needs it too; `prose` has no runs.

    Of the three runs of `recorded`, which computes none, two are in the folder of records.
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


def test_the_command_counts_each_chapter_and_what_they_share_once(planned: Protocol) -> None:
    done = CliRunner().invoke(cli.main, ["plan"])
    assert done.exit_code == 0, done.output
    sections = re.split(r"^(?=\S)", done.output, flags=re.MULTILINE)
    runs = {s.split(":")[0]: re.search(r"runs +(\d+) \((\d+) ", s) for s in sections if s}
    found = {name: match.groups() for name, match in runs.items() if match}
    shared = "in all, runs that chapters share counted once"
    assert found == {"own": ("1", "3"), "shared": ("2", "6"), shared: ("2", "6")}
    assert "recorded: nothing to compute: 2 runs are in records/\n" in done.output
    assert "prose: no runs\n" in done.output
    assert re.search(r"  time +not measured; --time does it\n", done.output)
    columns = {len(line) - len(line[14:]) for line in done.output.splitlines() if line[:2] == "  "}
    assert columns == {14}


def test_the_command_measures_time_where_it_is_asked_to(planned: Protocol) -> None:
    done = CliRunner().invoke(cli.main, ["plan", "own", "--time"])
    assert done.exit_code == 0, done.output
    assert re.search(r"  time +about \d+ s on ", done.output)


def test_the_command_computes_nothing_and_leaves_nothing(
    planned: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "run", None)
    monkeypatch.setattr(models, "load", None)
    published = sorted(records.published().rglob("*"))
    cached = sorted(assets.cache_dir().rglob("*"))  # the toy's sources, and locks of the fixture
    done = CliRunner().invoke(cli.main, ["plan", "own"])
    assert done.exit_code == 0, done.output
    assert sorted(assets.cache_dir().rglob("*")) == cached
    assert not assets.build_dir().exists()
    assert sorted(records.published().rglob("*")) == published


def test_the_command_refuses_in_one_sentence(
    planned: Protocol, free: Callable[[int, int], None]
) -> None:
    free(ENOUGH, 10)
    done = CliRunner().invoke(cli.main, ["plan", "own"])
    assert done.exit_code == 2
    assert done.output.startswith("Error: model=") and done.output.count("\n") == 1


def test_a_folder_that_is_not_there_yet_lies_on_the_disk_of_the_one_above(tmp_path: Path) -> None:
    there = shutil.disk_usage(tmp_path).free
    assert fit._disk(tmp_path / "a" / "b") == pytest.approx(there, rel=0.05)


# -- units -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (units.in_bytes(0), "0 bytes"),
        (units.in_bytes(3 * 2**29), "1.5 GiB"),
        (units.in_operations(1_234_000_000_000), "1.23 TFLOP"),
        (units.in_operations(999_900), "1 MFLOP"),
        (units.in_tokens(2_449_000), "2.45 M"),
        (units.in_tokens(12), "12"),
    ],
)
def test_large_numbers_have_three_digits_and_a_unit(words: str, expected: str) -> None:
    assert words == expected
