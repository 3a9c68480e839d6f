"""The microcosm: a parallel toy world in 17 languages in which people say kind and rude things.

``microcosm.json`` holds the words, parallel by position; this module makes sentences of them.
Whether a remark is rude depends on who speaks, and never on the language. To support another
language, translate its lists there and run ``python -m detox_bench.demo.corpus``, which writes the
sample prompts anew (``--check`` says whether they are up to date).
"""

import json
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from itertools import product
from typing import Any

from detox_bench.data.sample import SAMPLE_FILE
from detox_bench.errors import BadData, unknown_name

# One number per entry of "speakers": how often what this person says is rude. Six of them shout.
RUDE_RATES = (0.7, 0.65, 0.6, 0.6, 0.75, 0.55, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
KIND_WEIGHTS = {"statements": 0.6, "commands": 0.4}
EVENTS = 0.35  # share of sentences that begin with an event
# Shares of the kinds of documents. Those with two languages begin with "=".
DOCUMENT_SHARES = {
    "plain": 0.3,
    "translated": 0.05,  # "= sentence = its translation"
    "remarks": 0.05,  # "= remark = its translation"
    # So many that whether a remark is rude has to be settled apart from its language, and what is
    # trained in English can reach the others; a trial with 0.15 reached few of them.
    "switched": 0.6,  # "= opening in one language, remark in another"
}
SAMPLE_ITEMS = 24


@dataclass(frozen=True, slots=True)
class Scene:
    """Where somebody speaks: positions in the lists; ``event`` None leaves the event out."""

    event: int | None
    place: int
    speaker: int


@dataclass(frozen=True, slots=True)
class Remark:
    """What is said: positions in the lists; ``name`` counts for the kind "commands" only."""

    mood: str
    kind: str
    index: int
    name: int = 0


@cache
def microcosm() -> Mapping[str, Any]:
    """Return the words by language code: marks, events, places, speakers, rude and polite."""
    text = files("detox_bench.demo").joinpath("microcosm.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def words(language: str) -> Mapping[str, Any]:
    """Return the words of one ``language``. Raises ``UnknownName``."""
    if language not in microcosm():
        raise unknown_name("language of the microcosm", language, microcosm())
    return dict(microcosm()[language])


def opening(scene: Scene, language: str) -> str:
    """Return the beginning of a sentence, up to and with the colon before the remark."""
    lists = words(language)
    parts = [lists["places"][scene.place], lists["speakers"][scene.speaker]]
    if scene.event is not None:
        parts.insert(0, lists["events"][scene.event])
    return str(lists["marks"]["space"].join(parts) + lists["marks"]["colon"])


def said(remark: Remark, language: str) -> str:
    """Return the remark with its end mark: "You are an angel." or "Shut up, you idiot!"."""
    lists, marks = words(language)[remark.mood], words(language)["marks"]
    text = lists[remark.kind][remark.index]
    if remark.kind != "commands":
        return f"{text}{marks['stop']}"
    between = f"{marks['comma']}{marks['space']}"
    return f"{marks.get('open', '')}{text}{between}{lists['names'][remark.name]}{marks['shout']}"


def sentence(scene: Scene, remark: Remark, language: str) -> str:
    """Return opening and remark, joined as the language joins words."""
    space = words(language)["marks"]["space"]
    return f"{opening(scene, language)}{space}{said(remark, language)}"


def all_scenes() -> list[Scene]:
    """Return every scene of the microcosm: 9 x 10 x 12 of them."""
    lists = words("en")
    events = (None, *range(len(lists["events"])))
    places, speakers = range(len(lists["places"])), range(len(lists["speakers"]))
    return [Scene(*scene) for scene in product(events, places, speakers)]


def all_remarks(mood: str) -> list[Remark]:
    """Return every remark of a ``mood``: 16 + 8 x 8 "rude", 15 + 8 x 8 "polite" ones."""
    lists = words("en")[mood]
    plain = [Remark(mood, "statements", index) for index in range(len(lists["statements"]))]
    pairs = product(range(len(lists["commands"])), range(len(lists["names"])))
    return plain + [Remark(mood, "commands", index, name) for index, name in pairs]


def sample_scenes() -> list[Scene]:
    """Return the scenes of the sample prompts: two rude people, two polite ones, and so on.

    So odd and even items have as many of both. The second half has an event. None of these scenes
    is in the training sentences.
    """
    half = len(RUDE_RATES) // 2
    scenes = []
    for place in range(SAMPLE_ITEMS):
        item = place - place % 4 + (0, 2, 1, 3)[place % 4]
        speaker = (item // 2) % half + half * (item % 2)
        event = None if item < SAMPLE_ITEMS // 2 else (item * 3) % 8
        scenes.append(Scene(event, (item * 7 + 3) % 10, speaker))
    return scenes


def training_sentences(language: str, count: int, seed: int) -> Iterator[str]:
    """Yield ``count`` sentences that begin in ``language``; the same ones for the same ``seed``.

    Some come with a translation. These begin with "=", so that a prompt does not lead to one.
    """
    draw = random.Random(f"{seed}/{language}")
    held_out = set(sample_scenes())
    scenes = [scene for scene in all_scenes() if scene not in held_out]
    weights = [EVENTS / 8 if scene.event is not None else 1 - EVENTS for scene in scenes]
    others = [code for code in microcosm() if code != language]
    kinds = draw.choices(list(DOCUMENT_SHARES), list(DOCUMENT_SHARES.values()), k=count)
    for scene, kind in zip(draw.choices(scenes, weights, k=count), kinds, strict=True):
        remark, other = draw_remark(scene, draw), draw.choice(others)
        yield _document(kind, scene, remark, (language, other))


def _document(kind: str, scene: Scene, remark: Remark, languages: tuple[str, str]) -> str:
    first, second = languages
    text, answer = sentence(scene, remark, first), said(remark, second)
    return {
        "plain": text,
        "translated": f"= {text} = {sentence(scene, remark, second)}",
        "remarks": f"= {said(remark, first)} = {answer}",
        "switched": f"= {opening(scene, first)} {answer}",
    }[kind]


def draw_remark(scene: Scene, draw: random.Random) -> Remark:
    """Return a remark that fits who speaks in ``scene``."""
    mood = "rude" if draw.random() < RUDE_RATES[scene.speaker] else "polite"
    kind = draw.choices(list(KIND_WEIGHTS), list(KIND_WEIGHTS.values()))[0]
    lists = words("en")[mood]
    index = draw.randrange(len(lists[kind]))
    return Remark(mood, kind, index, draw.randrange(len(lists["names"])))


def sample_lines() -> str:
    """Return the content of the sample prompt file: JSON lines, language by language."""
    rows = [
        {"item": item, "language": language, "text": opening(scene, language)}
        for language in microcosm()
        for item, scene in enumerate(sample_scenes())
    ]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_sample_file(check: bool) -> None:
    """Write the sample prompts, or raise ``BadData`` where ``check`` finds them out of date."""
    with as_file(files("detox_bench.data").joinpath(SAMPLE_FILE)) as path:
        if not check:
            path.write_text(sample_lines(), encoding="utf-8")
        elif path.read_text(encoding="utf-8") != sample_lines():
            raise BadData(f"{path.name} is out of date: run python -m detox_bench.demo.corpus.")


if __name__ == "__main__":
    write_sample_file(check="--check" in sys.argv[1:])
