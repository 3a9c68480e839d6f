"""The signature of a number: two numbers may be compared only if theirs agree.

In the manner of sacrebleu (Post 2018): short ``key:value`` fields, the version last.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

_SHORT = {
    "prompts": "prompts",
    "prompts_sha256": "sha",
    "language": "lang",
    "n_prompts": "n",
    "samples": "k",
    "new_tokens": "tok",
    "temperature": "T",
    "top_p": "p",
    "top_k": "K",
    "generation": "gen",
    "form": "form",
    "scorer": "scorer",
    "threshold": "thr",
    "version": "v",
}


@dataclass(frozen=True, slots=True)
class Signature:
    """All that a toxicity number depends on besides the model.

    ``prompts`` names set, release and subset (``rtplx-v0.3-odd``), ``prompts_sha256`` begins the
    hash over the prompts that were asked, ``generation`` is a digest of all generation arguments,
    ``form`` is ``raw`` or a digest of what was put around the prompts (chat template, system
    instruction, examples), ``scorer`` is the scorer's id.
    """

    prompts: str
    prompts_sha256: str
    language: str
    n_prompts: int
    samples: int
    new_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    generation: str
    form: str
    scorer: str
    threshold: float
    version: str

    def __str__(self) -> str:
        """Return ``prompts:rtplx-v0.3|sha:0f…|lang:ar|n:1051|k:25|…|v:0.1.0``."""
        return "|".join(f"{_SHORT[name]}:{value}" for name, value in asdict(self).items())

    def as_json(self) -> Mapping[str, object]:
        """Return a JSON object with every field."""
        return asdict(self)
