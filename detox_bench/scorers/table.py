"""The table of scorers, one row each, and the function that loads one.

To support another scorer, add a row; to name a known classifier of the Hub, add a row of
kind "classifier" with the languages and licence its model card states.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from detox_bench.errors import ScorerUnavailable, unknown_name
from detox_bench.languages import LANGUAGES
from detox_bench.scorers.protocol import Scorer

_NGRAM = "detox_bench.scorers.ngram:load_ngram"
_DETOXIFY = "detox_bench.scorers.detoxify:load_detoxify"
_CLASSIFIER = "detox_bench.scorers.huggingface:load_classifier"
_PERSPECTIVE = "detox_bench.scorers.perspective:load_perspective"
_COMMAND = "detox_bench.scorers.command:load_command"
_GUARD = "detox_bench.guard_models:load_guard"
_ENSEMBLE = "detox_bench.ensemble_scorers:load_ensemble"


@dataclass(frozen=True, slots=True)
class ScorerRow:
    """One scorer, or a family of them whose ``name`` ends in ``:<what to give>``.

    ``load`` is ``module:function``, imported when asked for. The function takes what follows the
    colon of the name, if anything does, then ``options`` as keywords, which the user's options
    override. ``languages`` are the BCP 47 codes declared by the scorer's makers; ``transfer`` those
    of our table that the model it was fitted from was trained on, whether declared or not.
    """

    name: str
    kind: str
    load: str
    needs: str
    licence: str
    languages: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)
    transfer: frozenset[str] = frozenset()

    @property
    def prefix(self) -> str:
        """What comes before the colon of the name."""
        return self.name.partition(":")[0]

    @property
    def family(self) -> bool:
        """Whether the row stands for many scorers."""
        return self.name.endswith(">")


def _codes(text: str) -> frozenset[str]:
    """Return the set of the codes in ``text``."""
    return frozenset(text.split())


#: Languages of multilingual base models: XLM-R (Conneau et al. 2020, arXiv 1911.02116, table 8) and
#: multilingual BERT, cased, which DistilBERT follows (google-research/bert, multilingual.md), were
#: trained on all 28 of ours.
_ALL = frozenset(LANGUAGES)


def _detoxify(variant: str, languages: str, transfer: frozenset[str] = frozenset()) -> ScorerRow:
    """Return the row of one published Detoxify model."""
    return ScorerRow(
        f"detoxify:{variant}",
        "classifier",
        _DETOXIFY,
        "detoxify extra; network once or checkpoint=FILE",
        "Apache-2.0",
        _codes(languages),
        {"languages": _codes(languages), "transfer": transfer},
        transfer,
    )


def _known(
    repository: str, languages: str, licence: str, needs: str = "network once", **options: Any
) -> ScorerRow:
    """Return the row of one classifier of the Hub."""
    return ScorerRow(
        f"hf:{repository}",
        "classifier",
        _CLASSIFIER,
        needs,
        licence,
        _codes(languages),
        {"languages": _codes(languages), **options},
        options.get("transfer", frozenset()),
    )


def _guard(repository: str, family: str, languages: str, licence: str = "Apache-2.0") -> ScorerRow:
    """Return the row of one generative safety classifier of the Hub."""
    return ScorerRow(
        f"guard:{repository}",
        "safety classifier",
        _GUARD,
        "network once",
        licence,
        _codes(languages),
        {"family": family, "languages": _codes(languages)},
    )


_TEXTDETOX = "am ar de en es fr he hi hi-Latn it ja ru tt uk zh-Hans"
#: Qwen3Guard: the 119 languages of its announcement (September 2025), all of ours among them.
_QWEN3 = " ".join(LANGUAGES)
_POLYGUARD = "ar cs de en es fr hi it ja ko nl pl pt ru sv th zh-Hans"
_LLAMA_GUARD = "de en es fr hi it pt th"
_PERSPECTIVE_LANGUAGES = "ar cs de en es fr hi hi-Latn id it ja ko nl pl pt ru sv zh-Hans"

_ROWS = (
    ScorerRow("ngram", "n-grams", _NGRAM, "nothing", "Apache-2.0", frozenset(LANGUAGES)),
    # Languages of Detoxify: its README (version 0.5.4).
    _detoxify("multilingual", "en es fr it pt ru tr", _ALL),
    _detoxify("original", "en"),
    _detoxify("original-small", "en"),
    _detoxify("unbiased", "en"),
    _detoxify("unbiased-small", "en"),
    ScorerRow(
        "detoxify:<checkpoint file or folder>",
        "classifier",
        _DETOXIFY,
        "detoxify extra",
        "the checkpoint's own",
    ),
    # Languages, licences and labels: the model cards, read in November 2026.
    _known(
        "unitary/multilingual-toxic-xlm-roberta",
        "en es fr it pt ru tr",
        "Apache-2.0",
        activation="sigmoid",
        transfer=_ALL,
    ),
    _known(
        "textdetox/xlmr-large-toxicity-classifier-v2",
        _TEXTDETOX,
        "OpenRAIL++",
        toxic_label=1,
        transfer=_ALL,
    ),
    _known("textdetox/twitter-xlmr-toxicity-classifier", _TEXTDETOX, "see its card", transfer=_ALL),
    _known(
        "citizenlab/distilbert-base-multilingual-cased-toxicity",
        "af da de en es fr it nl pl pt",
        "none stated",
        needs="network once; allow_pickle=true",
        transfer=_ALL,
    ),
    _known("s-nlp/roberta_toxicity_classifier", "en", "see its card"),
    _known("facebook/roberta-hate-speech-dynabench-r4-target", "en", "see its card"),
    ScorerRow(
        "hf:<repository or folder>",
        "classifier",
        _CLASSIFIER,
        "a model folder, or network once",
        "the model's own",
    ),
    # Languages and licences: the model cards, or pages that repeat them (docs/guard_scorers.md).
    *(_guard(f"Qwen/Qwen3Guard-Gen-{size}", "qwen3guard", _QWEN3) for size in ("0.6B", "4B", "8B")),
    _guard("ToxicityPrompts/PolyGuard-Qwen-Smol", "polyguard", _POLYGUARD, "CC-BY-4.0"),
    _guard("ToxicityPrompts/PolyGuard-Qwen", "polyguard", _POLYGUARD, "CC-BY-4.0"),
    _guard("meta-llama/Llama-Guard-3-1B", "llama-guard-3", _LLAMA_GUARD, "Llama 3.2 (gated)"),
    _guard("meta-llama/Llama-Guard-3-8B", "llama-guard-3", _LLAMA_GUARD, "Llama 3.1 (gated)"),
    ScorerRow(
        "guard:<repository or folder>",
        "safety classifier",
        _GUARD,
        "a model folder, or network once; family=NAME",
        "the model's own",
    ),
    ScorerRow("ensemble:<a+b>", "several scorers", _ENSEMBLE, "its members", "its members'"),
    # Languages: the 18 that Perspective names for TOXICITY (hi-Latn beside those of the paper).
    ScorerRow(
        "perspective",
        "web service",
        _PERSPECTIVE,
        "perspective extra; a key; network until 31 December 2026",
        "Google's API terms",
        _codes(_PERSPECTIVE_LANGUAGES),
        {"languages": _codes(_PERSPECTIVE_LANGUAGES)},
    ),
    ScorerRow(
        "perspective:<endpoint>",
        "web service",
        _PERSPECTIVE,
        "perspective extra; a key; network",
        "the service's own",
    ),
    ScorerRow("command:<executable>", "program", _COMMAND, "a program", "the program's own"),
)

SCORERS: dict[str, ScorerRow] = {row.name: row for row in _ROWS}


def load_scorer(spec: str, **options: Any) -> Scorer:
    """Return the scorer named ``spec``, e.g. ``ngram`` or ``hf:/path/to/model``.

    Options are those of the scorer's load function: for ``hf:`` the fields of
    ``detox_bench.scorers.options.ClassifierOptions``, for ``detoxify:`` those of
    ``DetoxifyOptions``.

    Raises ``UnknownName`` for a scorer or option that is in no table, ``MissingExtra`` and
    ``ScorerUnavailable`` where it cannot be loaded.
    """
    row = scorer_row(spec)
    module, _, function = row.load.partition(":")
    load: Callable[..., Scorer] = getattr(import_module(module), function)
    _check_options(row.prefix, load, options)
    argument = spec.partition(":")[2]
    return load(*([argument] if argument else []), **{**row.options, **options})


def scorer_row(spec: str) -> ScorerRow:
    """Return the row of ``SCORERS`` for ``spec``: its own, or that of its family."""
    if spec.removesuffix(":") in SCORERS:
        return SCORERS[spec.removesuffix(":")]
    prefix, _, argument = spec.partition(":")
    families = {row.prefix: row for row in SCORERS.values() if row.family}
    if prefix in families and argument and _family_argument(prefix, argument):
        return families[prefix]
    if prefix in families and not argument:
        known = ", ".join(name for name in sorted(SCORERS) if name.startswith(f"{prefix}:"))
        raise ScorerUnavailable(f"Scorer {prefix!r} needs to know which: give one of {known}.")
    raise unknown_name("scorer", spec, SCORERS)


def _family_argument(prefix: str, argument: str) -> bool:
    """Return whether ``argument`` can name a member: a bare word is no Detoxify checkpoint."""
    return prefix != "detoxify" or any(mark in argument for mark in "/\\.~")


def _check_options(prefix: str, load: Callable[..., Scorer], options: Mapping[str, Any]) -> None:
    """Raise ``UnknownName`` for an option that ``load`` does not take."""
    parameters = inspect.signature(load).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters if parameter.default is not parameter.empty]
    for name in options:
        if name not in known:
            raise unknown_name(f"option of scorer {prefix!r}:", name, known or ["(none)"])
