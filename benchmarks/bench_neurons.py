"""What hooks cost while generating: the model edited, folded, and as it is.

``python -m benchmarks.bench_neurons [--model DIR] [--prompts N] [--neurons 36] [--device cuda]``
The same sampler draws the same number of tokens from the same model in turns; what counts is the
ratio to the unedited one. Where TransformerLens is installed, its greedy decoding with and without
the same edit stands beside ours.
"""

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
import transformers

os.environ["HF_HUB_OFFLINE"] = "1"
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

from detox_bench.data.prompts import load_prompts  # noqa: E402
from detox_bench.demo import model_path  # noqa: E402
from detox_bench.languages import PAPER_LANGUAGES  # noqa: E402
from detox_bench.modeling.architectures import down_projections  # noqa: E402
from detox_bench.modeling.forward import CausalModel  # noqa: E402
from detox_bench.modeling.greedy import greedy  # noqa: E402
from detox_bench.modeling.nucleus import SamplingSettings  # noqa: E402
from detox_bench.modeling.sampling import Sampler, SampleRequest  # noqa: E402
from detox_bench.neurons.edit.editing import base_model_of, edited  # noqa: E402
from detox_bench.neurons.edit.interventions import Intervention, intervention  # noqa: E402
from detox_bench.neurons.fold.folding import folded_bias, layer_edits  # noqa: E402
from detox_bench.types import NeuronId  # noqa: E402

SAMPLES, TOKENS, VALUE = 25, 20, -0.1
LENGTH = 8  # tokens of a prompt that is decoded greedily, all alike

Way = Callable[[], Any]


def main() -> None:
    options = _options()
    model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    model = model.to(options.device).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
    prompts = _prompts(tokenizer, options.prompts)
    edits = {where: _edit(model, options.neurons, where) for where in ("all", "generated")}
    folded = _folded(model, edits["all"])
    print(
        f"{Path(options.model).name}: {options.neurons} neurons, {options.device}, "
        f"{torch.get_num_threads()} threads, {options.rounds} rounds in turns.\n"
    )
    ways = {
        "unedited": partial(_sample, model, prompts, None),
        "hooks, all positions": partial(_sample, model, prompts, edits["all"]),
        "hooks, generated positions": partial(_sample, model, prompts, edits["generated"]),
        "folded": partial(_sample, folded, prompts, None),
        "unedited, once more": partial(_sample, model, prompts, None),
    }
    _print(f"{len(prompts) * SAMPLES} texts sampled", ways, options)
    _print_greedy(model, prompts, edits["all"], options)


def _print(title: str, ways: dict[str, Way], options: argparse.Namespace) -> None:
    seconds = _time(ways, options.rounds, options.device)
    print(f"| {title} | seconds, best | against the first, median of rounds |\n|---|---|---|")
    first = seconds[next(iter(ways))]
    for way, spent in seconds.items():
        ratio = statistics.median(own / base for own, base in zip(spent, first, strict=True))
        print(f"| {way} | {min(spent):.2f} | {100 * (ratio - 1):+.1f} % |")
    print(flush=True)


def _sample(model: Any, prompts: list[SampleRequest], edit: Intervention | None) -> None:
    sampler = Sampler(CausalModel(model), SamplingSettings(TOKENS), batch_size=250)
    with edited(model, edit) if edit else nullcontext():
        for _ in sampler.sample(prompts):
            pass


def _print_greedy(
    model: Any, prompts: list[SampleRequest], edit: Intervention, options: argparse.Namespace
) -> None:
    """Decode a batch greedily, by us and by TransformerLens, which must make the same tokens."""
    ids = [(each.tokens * LENGTH)[:LENGTH] for each in prompts]
    ways: dict[str, Way] = {
        "ours": partial(_greedy, model, ids, None),
        "ours, hooks": partial(_greedy, model, ids, edit),
    }
    try:
        from transformer_lens import TransformerBridge
    except ImportError:
        print("TransformerLens 4 is not installed, and not compared: pip install transformer-lens")
    else:
        bridge = TransformerBridge.boot_transformers(options.model, device=options.device)
        ways |= {
            "TransformerLens": partial(_lens, bridge, ids, None),
            "TransformerLens, hooks": partial(_lens, bridge, ids, edit),
        }
        for ours, lens in (("ours", "TransformerLens"), ("ours, hooks", "TransformerLens, hooks")):
            assert ways[ours]() == ways[lens](), f"{lens} makes other tokens"
    _print(f"{len(ids)} texts, greedy", ways, options)


def _greedy(model: Any, ids: list[tuple[int, ...]], edit: Intervention | None) -> list[list[int]]:
    with edited(model, edit) if edit else nullcontext():
        batches = greedy(CausalModel(model), ids, TOKENS, batch_size=len(ids))
        found = {each.place: each.tokens for batch in batches for each in batch}
    return [found[place] for place in range(len(ids))]


def _lens(bridge: Any, ids: list[tuple[int, ...]], edit: Intervention | None) -> list[list[int]]:
    hooks = []
    for layer, each in layer_edits(edit).items() if edit else ():
        add = partial(_added, neurons=each.neurons, offsets=each.offsets.float())
        hooks.append((f"blocks.{layer}.mlp.out.hook_in", add))
    inputs = torch.tensor(ids, device=bridge.cfg.device)
    with bridge.hooks(fwd_hooks=hooks), torch.inference_mode():
        made = bridge.generate(
            inputs, max_new_tokens=TOKENS, do_sample=False, stop_at_eos=False, verbose=False
        )
    return [row[LENGTH:] for row in made.tolist()]


def _added(activations: Any, *, hook: Any, neurons: Any, offsets: Any) -> Any:  # noqa: ARG001
    edited_activations = activations.clone()
    edited_activations[..., neurons] += offsets
    return edited_activations


def _edit(model: Any, count: int, positions: str) -> Intervention:
    """Return an edit of ``count`` neurons of all layers, too small to end texts earlier."""
    base = base_model_of(model, "bench")
    every = [NeuronId(number % base.layers, number) for number in range(base.neurons)]
    edits = [(each, VALUE) for each in Random(0).sample(every, count)]
    return intervention(base, "add", edits, positions)


def _folded(model: Any, edit: Intervention) -> Any:
    """Return a copy with the edit in its biases, which this benchmark's models have."""
    copied = copy.deepcopy(model)
    for layer, each in layer_edits(edit).items():
        projection: Any = down_projections(copied)[layer]
        rows = type(projection).__name__ == "Conv1D"
        bias = folded_bias(projection.bias.detach(), projection.weight.detach(), each, rows)
        projection.bias.data.copy_(bias)
    return copied


def _prompts(tokenizer: Any, count: int) -> list[SampleRequest]:
    sets = [load_prompts(code).prompts for code in PAPER_LANGUAGES]
    chosen = [one[place] for place in range(len(sets[0])) for one in sets if place < len(one)]
    return [
        SampleRequest(each.id, tuple(tokenizer(each.text)["input_ids"][-100:]), (*range(SAMPLES),))
        for each in chosen[:count]
    ]


def _time(ways: dict[str, Way], rounds: int, device: str) -> dict[str, list[float]]:
    """Return the seconds of each way in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(rounds + 1):
        for name, way in ways.items():
            if device == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            way()
            if device == "cuda":
                torch.cuda.synchronize()
            if round_:  # the first is for warming up
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _options() -> argparse.Namespace:
    shared = Path(os.environ.get("DETOX_BENCH_SHARED", "../shared")) / "models" / "mini-mgpt"
    default = str(shared if shared.is_dir() else model_path())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=default, help="a folder; mini-mgpt or the demo model")
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--neurons", type=int, default=36)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
