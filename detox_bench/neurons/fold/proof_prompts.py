"""The prompts that two models are compared on."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from detox_bench.data.prompts import load_prompts
from detox_bench.data.sample import sample_languages
from detox_bench.data.store import read_manifest
from detox_bench.errors import BadData
from detox_bench.modeling.tokens import prompt_tokens, window_of

#: Prompts that models are compared on; spread over the languages there are.
LIMIT = 8
_LONGEST = 128  # tokens of a prompt that are looked at


def proof_texts(source: str, limit: int = LIMIT) -> list[str]:
    """Return ``limit`` prompts of ``sample``, of ``rtplx``, or of a file.

    A file ending in ``.jsonl`` has a ``text`` a line, any other a prompt a line. Raises ``BadData``
    where there is none.
    """
    if limit < 1:
        raise BadData(f"--limit is {limit}, and at least one prompt is needed.")
    return _SOURCES[source](limit) if source in _SOURCES else _of_file(Path(source), limit)


def proof_tokens(
    model: Any, tokenizer: Any, texts: Sequence[str], new_tokens: int
) -> list[tuple[int, ...]]:
    """Return the tokens of each prompt that leave room for ``new_tokens`` in the model's window."""
    window = window_of(model) or _LONGEST + new_tokens
    room = max(1, min(_LONGEST, window - new_tokens))
    return [prompt_tokens(tokenizer, text, room) for text in texts]


def _of_sample(limit: int) -> list[str]:
    return _spread("sample", sample_languages(), limit)


def _of_rtplx(limit: int) -> list[str]:
    manifest = read_manifest("rtplx")
    if manifest is None:
        raise BadData("No RTP-LX has been prepared: run `detox-bench data rtplx SOURCE`.")
    return _spread("rtplx", tuple(manifest.languages), limit)


_SOURCES: dict[str, Callable[[int], list[str]]] = {"sample": _of_sample, "rtplx": _of_rtplx}


def _spread(source: str, languages: Sequence[str], limit: int) -> list[str]:
    """Return prompts of languages far apart in the list, another item of each."""
    chosen = [languages[n * len(languages) // limit] for n in range(min(limit, len(languages)))]
    prompts = {code: load_prompts(code, source).prompts for code in chosen}
    rounds = [(code, n) for n in range(limit) for code in chosen][:limit]
    return [
        prompts[code][place % len(prompts[code])].text for place, (code, _) in enumerate(rounds)
    ]


def _of_file(file: Path, limit: int) -> list[str]:
    try:
        lines = [line for line in file.read_text("utf-8").splitlines() if line.strip()][:limit]
        texts = [json.loads(each)["text"] for each in lines] if file.suffix == ".jsonl" else lines
        if not texts or not all(isinstance(each, str) for each in texts):
            raise ValueError("no prompt is in it")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(
            f"{file} gives no prompts ({type(error).__name__}: {error}). Name a file with a prompt "
            "a line, one of JSON lines with a `text` each, or `sample` or `rtplx`."
        ) from error
    return texts
