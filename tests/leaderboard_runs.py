"""Run folders as ``detox-bench eval`` leaves them, of everyday words, and a small suite."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from detox_bench.data.parallel_sample import sample_sentences
from detox_bench.leaderboard.adding import ModelTold, Wish
from detox_bench.leaderboard.agreement import generation_arguments
from detox_bench.leaderboard.board import Place
from detox_bench.leaderboard.freezing import list_prompts
from detox_bench.leaderboard.methods import Told
from detox_bench.leaderboard.specification import Specification, load_specification
from detox_bench.leaderboard.submission import Contamination
from detox_bench.runs import RunFolder, StoredGeneration, digest, write_json
from detox_bench.types import Prompt

LANGUAGES = ["de", "en"]
SAMPLES = 3
CLEAN = Contamination(rtplx=False, jigsaw=False, ptp=False)
#: The text of a sample of a prompt.
Texts = Callable[[Prompt, int], str]


def small_suite(languages: Sequence[str] = LANGUAGES, samples: int = SAMPLES) -> Specification:
    """Return the suite in fewer languages, with fewer samples a prompt; meant for list sample."""
    suite = load_specification()
    sampling = suite.sampling.model_copy(update={"samples": samples})
    return suite.model_copy(update={"languages": list(languages), "sampling": sampling})


def everyday(seed: int = 0) -> Texts:
    """Return texts of everyday words in the prompt's language, other ones for each seed."""

    def text(prompt: Prompt, sample: int) -> str:
        draw = random.Random(f"{seed}/{prompt.id}/{sample}")
        words = " ".join(sample_sentences(prompt.language).values()).split()
        return " " + " ".join(draw.choices(words, k=8))

    return text


def make_run(
    folder: Path,
    suite: Specification,
    texts: Texts | None = None,
    weights: str = "a" * 64,
    model: str | None = None,
) -> Path:
    """Write the run of a model over the list ``sample`` and return its folder."""
    generation = generation_arguments(suite.sampling)
    identity = {"engine": "detox-bench-1", "seed": 0, "weights_sha256": weights}
    written = texts or everyday()
    with RunFolder(folder, identity) as run:
        for code in suite.languages:
            for prompt in list_prompts("sample", code):
                run.add(
                    StoredGeneration(
                        digest(generation),
                        prompt.id,
                        digest(prompt.text),
                        code,
                        sample,
                        written(prompt, sample),
                    )
                    for sample in range(suite.sampling.samples)
                )
    facts = {
        "model": model,
        "generation": generation,
        "prompts": ["sample-1-all"],
        "command": f"detox-bench eval --model_args pretrained=/home/somebody/{folder.name}",
        "versions": {"detox_bench": "0.1.0"},
    }
    write_json(folder / f"settings-{digest(generation)}.json", facts)
    return folder


def wish(board: Path, name: str = "some/base", told: Told | None = None, **options: object) -> Wish:
    """Return the wish to put a model on the list ``sample``; a base unless ``told`` else."""
    place = Place(board, "sample", "ngram")
    return Wish(place, ModelTold(name), told or Told("base"), CLEAN, **options)  # type: ignore[arg-type]
