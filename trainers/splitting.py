"""The part of the pairs that is kept for validation."""

import random
from collections.abc import Sequence

from detox_bench.types import PreferencePair


def split(
    pairs: Sequence[PreferencePair], share: float, seed: int
) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Return the pairs to train and those to validate on, about ``share`` of all.

    Pairs of one prompt, or of one rejected text whatever part of it is the prompt, stay together.
    The order within each part is that of ``pairs``.
    """
    groups = _together(pairs)
    random.Random(seed).shuffle(groups)
    held_out: set[int] = set()
    for group in groups:
        if len(held_out) + len(group) / 2 <= share * len(pairs):
            held_out.update(group)
    train = [pair for place, pair in enumerate(pairs) if place not in held_out]
    return train, [pairs[place] for place in sorted(held_out)]


def _together(pairs: Sequence[PreferencePair]) -> list[list[int]]:
    """Return the places of the pairs that belong together."""
    group_of: dict[str, list[int]] = {}
    for place, pair in enumerate(pairs):
        keys = [
            f"text {pair.prompt}{pair.rejected}",
            *([f"prompt {pair.prompt}"] if pair.prompt else []),
        ]
        own = [place]
        for other in {id(group_of[key]): group_of[key] for key in keys if key in group_of}.values():
            own += other
        for member in own:
            each = pairs[member]
            group_of[f"text {each.prompt}{each.rejected}"] = own
            if each.prompt:
                group_of[f"prompt {each.prompt}"] = own
    return list({id(group): group for group in group_of.values()}.values())
