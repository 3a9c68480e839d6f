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


@dataclass(frozen=True, slots=True)
class ScorerRow:
    """One scorer, or a family of them whose ``name`` ends in ``:<what to give>``.

    ``load`` is ``module:function``, imported when asked for. The function takes what follows the
    colon of the name, if anything does, then ``options`` as keywords, which the user's options
    override. ``languages`` are the BCP 47 codes declared by the scorer's makers.
    """

    name: str
    kind: str
    load: str
    needs: str
    licence: str
    languages: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)

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


def _detoxify(variant: str, languages: str) -> ScorerRow:
    """Return the row of one published Detoxify model."""
    return ScorerRow(
        f"detoxify:{variant}",
        "classifier",
        _DETOXIFY,
        "detoxify extra; network once or checkpoint=FILE",
        "Apache-2.0",
        _codes(languages),
        {"languages": _codes(languages)},
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
    )


_TEXTDETOX = "am ar de en es fr he hi hi-Latn it ja ru tt uk zh-Hans"

_ROWS = (
    ScorerRow("ngram", "n-grams", _NGRAM, "nothing", "Apache-2.0", frozenset(LANGUAGES)),
    # Languages of Detoxify: its README (version 0.5.4).
    _detoxify("multilingual", "en es fr it pt ru tr"),
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
    ),
    _known(
        "textdetox/xlmr-large-toxicity-classifier-v2",
        _TEXTDETOX,
        "OpenRAIL++",
        toxic_label=1,
    ),
    _known("textdetox/twitter-xlmr-toxicity-classifier", _TEXTDETOX, "see its card"),
    _known(
        "citizenlab/distilbert-base-multilingual-cased-toxicity",
        "af da de en es fr it nl pl pt",
        "none stated",
        needs="network once; allow_pickle=true",
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
    if spec in SCORERS:
        return SCORERS[spec]
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
