"""Conditional perplexity: ours against one text at a time.

``python -m benchmarks.bench_likelihood [--model DIR] [--prompts N] [--device cuda]``
All score the same 25 continuations a prompt of the same model, tokenised before, in turns; what
counts is the ratio. One at a time means: the mean loss of prompt and continuation less that of
the prompt, as the paper's script has it, each from one call of the model, the prompt's once.
"""

import argparse
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

os.environ["HF_HUB_OFFLINE"] = "1"
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

from detox_bench.data.prompts import load_prompts  # noqa: E402
from detox_bench.demo import model_path  # noqa: E402
from detox_bench.languages import PAPER_LANGUAGES  # noqa: E402
from detox_bench.modeling.forward import CausalModel  # noqa: E402
from detox_bench.modeling.likelihood import (  # noqa: E402
    BATCH_TOKENS,
    Continuation,
    log_probabilities,
    perplexity,
)
from detox_bench.modeling.sampling import Sampler, SampleRequest, SamplingSettings  # noqa: E402

SAMPLES = 25
BATCH = 32

Contestant = Callable[[list[Continuation]], list[float | None]]


def main() -> None:
    options = _options()
    model = transformers.AutoModelForCausalLM.from_pretrained(options.model).to(options.device)
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    asked = _continuations(model.eval(), tokenizer, options.prompts)
    ways: dict[str, Contestant] = {
        "one text at a time": lambda some: one_at_a_time(model, some),
        f"whole texts in order, batch {BATCH}": lambda some: whole_texts(model, some),
        f"detox-bench, {options.batch_tokens} tokens": lambda some: [
            perplexity(values) for values in log_probabilities(model, some, options.batch_tokens)
        ],
    }
    seconds, found = _time(ways, asked, options.rounds, options.device)
    print(
        f"{Path(options.model).name}: {len(asked)} continuations of {options.prompts} prompts, "
        f"{options.device} {model.dtype}, {torch.get_num_threads()} threads\n"
    )
    print("| way | texts/s | ratio | largest relative difference |\n|---|---|---|---|")
    first = next(iter(ways))
    for way, spent in seconds.items():
        pairs = zip(found[way], found[first], strict=True)
        apart = max(abs(a / b - 1) for a, b in pairs if a is not None and b is not None)
        print(f"| {way} | {len(asked) / spent:.1f} | {seconds[first] / spent:.2f} | {apart:.1e} |")


def one_at_a_time(model: Any, asked: Sequence[Continuation]) -> list[float | None]:
    """Return perplexities from the losses of single texts."""
    found: list[float | None] = []
    prompt, before = None, 0.0
    for each in asked:
        if each.prompt != prompt:
            prompt, before = each.prompt, _summed_loss(model, each.prompt)
        whole = _summed_loss(model, each.prompt + each.tokens)
        found.append(math.exp((whole - before) / len(each.tokens)) if each.tokens else None)
    return found


def whole_texts(model: Any, asked: Sequence[Continuation]) -> list[float | None]:
    """Return perplexities from batches of whole texts, padded on the right."""
    found: list[float | None] = []
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        longest = max(len(each.prompt + each.tokens) for each in batch)
        texts = [each.prompt + each.tokens for each in batch]
        ids = torch.tensor([[*t, *[0] * (longest - len(t))] for t in texts]).to(model.device)
        mask = torch.tensor([[n < len(t) for n in range(longest)] for t in texts]).long()
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask.to(model.device)).logits
        table = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None]).squeeze(-1).cpu()
        for row, each in zip(table.tolist(), batch, strict=True):
            end = len(each.prompt) + len(each.tokens) - 1
            found.append(perplexity(row[len(each.prompt) - 1 : end]))
    return found


def _summed_loss(model: Any, tokens: Sequence[int]) -> float:
    if len(tokens) < 2:
        return 0.0
    ids = torch.tensor([tokens]).to(model.device)
    with torch.no_grad():
        return float(model(input_ids=ids, labels=ids).loss) * (len(tokens) - 1)


def _continuations(model: Any, tokenizer: Any, count: int) -> list[Continuation]:
    """Return ``SAMPLES`` continuations for each of ``count`` prompts, spread over the languages."""
    sets = [load_prompts(code).prompts for code in PAPER_LANGUAGES]
    prompts = [one[place] for place in range(len(sets[0])) for one in sets if place < len(one)]
    requests = [
        SampleRequest(each.id, tuple(tokenizer(each.text)["input_ids"][-100:]), (*range(SAMPLES),))
        for each in prompts[:count]
    ]
    sampler = Sampler(CausalModel(model), SamplingSettings(), {tokenizer.eos_token_id})
    drawn = [each for batch in sampler.sample(requests) for each in batch]
    drawn.sort(key=lambda each: (each.request.prompt_id, each.sample))
    return [Continuation(each.request.tokens, tuple(each.tokens)) for each in drawn]


def _time(
    ways: dict[str, Contestant], asked: list[Continuation], rounds: int, device: str
) -> tuple[dict[str, float], dict[str, list[float | None]]]:
    """Return the seconds of each way, best of the rounds, and what it found."""
    seconds, found = dict.fromkeys(ways, math.inf), {}
    for way in ways.values():
        way(asked[:BATCH])
    for _ in range(rounds):
        for name, way in ways.items():
            if device == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            found[name] = way(asked)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds, found


def _options() -> argparse.Namespace:
    shared = Path(os.environ.get("DETOX_BENCH_SHARED", "../shared")) / "models" / "mini-mgpt"
    default = str(shared if shared.is_dir() else model_path())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=default, help="a folder; mini-mgpt or the demo model")
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-tokens", type=int, default=BATCH_TOKENS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
