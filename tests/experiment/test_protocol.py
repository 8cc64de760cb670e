"""The protocol: what it refuses, and what its hashes depend on."""

import dataclasses
import json
import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collapse.experiment.protocol import LATER, RANGES, Protocol, ProtocolError, digest

FIELDS = {field.name: field for field in dataclasses.fields(Protocol)}
BOUNDS = {name: (low, high) for name, low, high in RANGES}
# One other value for each field; a new field without one fails the test that uses them.
OTHER: dict[str, Any] = {
    "corpus": "sotu", "train_blocks": 7, "eval_blocks": 7, "block_length": 32, "model": "tiny",
    "generations": 3, "epochs": 10, "retained": 0.1, "retains": "fixed", "regime": "accumulate",
    "schedule": (1.0, 0.5), "replaced_by": "other-subject", "budget": "steps", "recovery": 8,
    "init": "previous", "prompts": "bos", "decoding": "sample", "beams": 4, "temperature": 0.7,
    "top_p": 0.9, "repetition_penalty": 2.0, "eos": "allow", "selection": "last", "lr": 1e-3,
    "lr_end": 0.0, "batch": 16, "precision": "bf16", "seed": 1,
}  # fmt: skip
# What another value of a field goes with.
TIED: dict[str, dict[str, Any]] = {
    "lr": {"lr_end": 1e-9}, "lr_end": {"lr": 1.0}, "retains": {"retained": 0.5},
    "budget": {"regime": "accumulate"}, "recovery": {"train_blocks": 7},
}  # fmt: skip


def refusal(**values: Any) -> str:
    with pytest.raises(ProtocolError) as caught:
        Protocol(**values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("corpus", 3), ("train_blocks", "all"), ("train_blocks", 2.0), ("generations", True),
        ("seed", None), ("retained", "0.1"), ("retained", True), ("lr", math.nan),
        ("lr", math.inf), ("temperature", [1.0]), ("model", None), ("regime", "mix"),
        ("decoding", ["beam"]), ("init", 0), ("precision", "fp16"), ("schedule", 0.5),
        ("replaced_by", "sotu"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_refused_in_one_sentence(field: str, value: object) -> None:
    said = refusal(**{field: value})
    assert said.startswith(f"{field}={value!r} is not ")
    assert "\n" not in said


@pytest.mark.parametrize("field", BOUNDS)
def test_the_ends_of_a_range_are_allowed_and_what_lies_beyond_is_refused(field: str) -> None:
    low, high = BOUNDS[field]
    for value in (low, high):
        assert getattr(Protocol(**{**TIED.get(field, {}), field: value}), field) == value
    for value in (low - 1, high + 1):
        said = refusal(**{field: value})
        assert said.startswith(f"{field}={value!r} is out of range; give a value from ")
        assert "\n" not in said


def test_fields_that_contradict_each_other_are_refused() -> None:
    assert "retained=0.1" in refusal(retained=0.1, regime="accumulate")
    assert "lr_end=0.5 exceeds lr=0.1" in refusal(lr=0.1, lr_end=0.5)
    assert "retains='fixed' has no meaning" in refusal(retains="fixed")
    assert "budget='steps' has no meaning" in refusal(budget="steps")
    assert "retained=0.1 has no meaning with schedule=" in refusal(retained=0.1, schedule=(1, 0.9))
    assert "schedule=(0.5,) has no meaning" in refusal(schedule=(0.5,), regime="accumulate")
    assert "schedule has 1.5; give shares" in refusal(schedule=(1, 1.5))
    assert refusal(schedule=(1, "half")).startswith("a share of schedule='half' is not of type")
    said = "recovery=8 has no meaning with generations=1; set recovery=0 or change generations"
    assert refusal(recovery=8, generations=1, train_blocks=9) == said
    assert "train_blocks=0 trains on all of it" in refusal(recovery=8)
    assert "train_blocks=0 trains on all of it" in refusal(retained=0.5, retains="fresh")


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(ProtocolError, match="no field 'epoch'"):
        Protocol.from_dict({"epoch": 3})


def test_changed_copies_are_checked_too() -> None:
    with pytest.raises(ProtocolError, match="epochs=0"):
        Protocol().replace(epochs=0)


def test_a_protocol_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Protocol().seed = 1  # type: ignore[misc]


def test_the_hash_does_not_depend_on_the_order_of_fields() -> None:
    values = Protocol(epochs=7, seed=3).to_dict()
    backwards = dict(reversed(values.items()))
    assert list(backwards) != list(values)
    assert Protocol.from_dict(backwards).hash == Protocol.from_dict(values).hash
    assert digest(backwards) == digest(values)


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_changes_the_hash_and_all_but_two_the_hash_of_the_arm(field: str) -> None:
    usual = Protocol(**TIED.get(field, {}))
    assert OTHER[field] != getattr(usual, field)
    other = usual.replace(**{field: OTHER[field]})
    assert other.hash != usual.hash
    assert (other.arm_hash == usual.arm_hash) == (field in ("seed", "generations"))
    assert usual.differences(other) == {field: (getattr(usual, field), OTHER[field])}


def test_fields_that_came_later_leave_the_names_of_older_runs_as_they_were() -> None:
    values = Protocol(epochs=7).to_dict()
    older = {name: values[name] for name in values if name not in LATER}
    assert len(older) == len(values) - 5
    assert Protocol.from_dict(older).hash == digest(older)[:12]


def test_the_beginning_of_a_chain_that_is_mended_is_another_arm() -> None:
    mended = Protocol(train_blocks=9, recovery=8, generations=4)
    assert mended.arm_hash == mended.replace(seed=1).arm_hash
    assert mended.arm_hash != mended.replace(generations=3).arm_hash


@pytest.mark.parametrize("field", [f.name for f in FIELDS.values() if f.type is float])
def test_equal_protocols_have_equal_hashes_even_where_an_int_stands_for_a_float(field: str) -> None:
    tied = {"lr": 1} if field == "lr_end" else {}
    whole, real = Protocol(**{**tied, field: 1}), Protocol(**{**tied, field: 1.0})
    assert whole == real
    assert whole.hash == real.hash
    assert whole.arm_hash == real.arm_hash


def values_of(name: str) -> st.SearchStrategy:
    kind = FIELDS[name].type
    if name == "schedule":
        return st.lists(st.floats(0, 1), max_size=3).map(tuple)
    if get_args(kind):
        return st.sampled_from(get_args(kind))
    if kind is str:
        return st.text()
    low, high = BOUNDS[name]
    return (st.integers if kind is int else st.floats)(low, high)


@st.composite
def protocols(draw: st.DrawFn) -> Protocol:
    values = {name: draw(values_of(name)) for name in FIELDS}
    values["lr_end"] = min(values["lr"], values["lr_end"])
    if values["regime"] != "replace":
        values["schedule"], values["replaced_by"] = (), "written"
    if values["regime"] != "replace" or values["schedule"]:
        values["retained"] = 0.0
    if values["regime"] != "accumulate":
        values["budget"] = "epochs"
    if not (values["retained"] or any(values["schedule"])):
        values["retains"] = "redrawn"
    if values["generations"] == 1 or values["train_blocks"] == 0:
        values["recovery"], values["retains"] = 0, "redrawn"
    return Protocol(**values)


@given(protocols())
def test_a_protocol_survives_json(protocol: Protocol) -> None:
    there = json.loads(json.dumps(protocol.to_dict()))
    back = Protocol.from_dict(there)
    assert back == protocol
    assert (back.hash, back.arm_hash) == (protocol.hash, protocol.arm_hash)


def test_a_protocol_is_picked_from_among_other_names() -> None:
    assert Protocol.among({"epochs": 3, "seeds": [1, 2], "scale": "laptop"}) == Protocol(epochs=3)


@given(st.floats(0, 1), st.floats(0, 1))
def test_shares_that_differ_are_named_differently(one: float, other: float) -> None:
    one, other = round(one, 6), round(other, 6)
    named = [Protocol(retained=share).mixture for share in (one, other)]
    assert (named[0] == named[1]) == (one == other)


@pytest.mark.parametrize(
    ("share", "said"), [(0, "nothing"), (0.004, "0.4 %"), (0.07, "7 %"), (1, "100 %")]
)
def test_a_share_is_named_in_full(share: float, said: str) -> None:
    assert Protocol(retained=share).mixture == f"{said} retained"
