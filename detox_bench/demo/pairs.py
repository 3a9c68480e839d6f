"""English preference pairs of the microcosm: after one opening, a kind remark and a rude one."""

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib.resources import as_file, files
from pathlib import Path

from detox_bench.demo.corpus import (
    Remark,
    all_remarks,
    all_scenes,
    opening,
    said,
    sample_scenes,
    words,
)
from detox_bench.types import PreferencePair

#: How many pairs the demo trains on.
COUNT = 1200


def recipe_file() -> AbstractContextManager[Path]:
    """Return the recipe that the demo trains by, as a file, for the length of a ``with``."""
    return as_file(files("detox_bench.demo").joinpath("dpo.yaml"))


def microcosm_pairs(count: int, seed: int = 0, language: str = "en") -> Iterator[PreferencePair]:
    """Yield ``count`` pairs; the same ones for the same ``seed``.

    Chosen and rejected are remarks of one kind, so that length does not tell them apart. The scenes
    of the sample prompts are not among the openings.
    """
    draw = random.Random(f"{seed}/pairs/{language}")
    held_out = set(sample_scenes())
    scenes = [scene for scene in all_scenes() if scene not in held_out]
    space = words(language)["marks"]["space"]
    for number in range(count):
        kind = draw.choice(("statements", "commands"))
        polite, rude = (draw.choice(_of_kind(mood, kind)) for mood in ("polite", "rude"))
        yield PreferencePair(
            id=str(number),
            prompt=opening(draw.choice(scenes), language),
            chosen=space + said(polite, language),
            rejected=space + said(rude, language),
            language=language,
            source="microcosm",
            complete=True,
        )


def _of_kind(mood: str, kind: str) -> list[Remark]:
    return [remark for remark in all_remarks(mood) if remark.kind == kind]
