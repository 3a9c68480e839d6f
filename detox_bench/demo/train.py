"""A plain training loop for a small GPT-2: AdamW, cosine schedule, windows of packed documents."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

Progress = Callable[[float, str], None]  # called with the share done in [0, 1] and a remark


@dataclass(frozen=True, slots=True)
class Sizes:
    """The shape of the model: GPT-2 with ``width // 64`` heads (at least 4)."""

    layers: int = 3
    width: int = 128
    vocabulary: int = 6000
    context: int = 128


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. It ends after ``steps``, or after ``minutes`` where these are given."""

    steps: int = 3200
    minutes: float | None = None
    batch: int = 8
    rate: float = 4e-3
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Stream:
    """The tokens of a file, documents one after the other, each ending in token 0.

    ``starts`` holds where a window may begin: at a document, and at every ``context`` tokens of a
    long one.
    """

    tokens: np.ndarray
    starts: np.ndarray


def new_model(sizes: Sizes, vocabulary: int, seed: int) -> GPT2LMHeadModel:
    """Return an untrained GPT-2 with dropout off and weights drawn from ``seed``.

    ``vocabulary`` is the number of tokens there really are, at most ``sizes.vocabulary``.
    """
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=sizes.context,
        n_embd=sizes.width,
        n_layer=sizes.layers,
        n_head=max(4, sizes.width // 64),
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=1,
    )
    return GPT2LMHeadModel(config)


def stream(documents: list[list[int]], context: int) -> Stream:
    """Return the token ids of ``documents`` as one stream."""
    lengths = np.array([len(document) + 1 for document in documents])
    ends = np.cumsum(lengths)
    tokens = np.zeros(int(ends[-1]) + context, dtype=np.int32)
    starts = []
    for document, end, length in zip(documents, ends, lengths, strict=True):
        tokens[end - length : end - 1] = document
        starts.append(np.arange(end - length, end, context))
    return Stream(tokens, np.concatenate(starts))


def train(
    model: GPT2LMHeadModel, streams: Mapping[str, Stream], plan: Plan, progress: Progress
) -> float:
    """Train ``model`` in place and return the mean loss (nats a token) of the last 50 steps."""
    model.to(plan.device).train()
    optimizer = _optimizer(model, plan)
    batches = _batches(list(streams.values()), model.config.n_positions, plan)
    losses: list[float] = []
    begin = time.monotonic()
    for step, done in enumerate(_done(plan)):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * _schedule(done)
        losses.append(_step(model, next(batches), optimizer, plan.device))
        if step % 10 == 0:
            rate = step * plan.batch * model.config.n_positions / (time.monotonic() - begin)
            progress(done, f"step {step}, loss {losses[-1]:.2f}, {rate:,.0f} tokens/s")
    progress(1.0, f"loss {losses[-1]:.2f}")
    return float(np.mean(losses[-50:]))


def held_out_loss(
    model: GPT2LMHeadModel, held_out: Stream, device: str, windows: int = 64
) -> float:
    """Return the mean loss (nats a token) over the first ``windows`` windows of a stream."""
    context = model.config.n_positions
    places = held_out.starts[:: max(1, len(held_out.starts) // windows)][:windows]
    rows = np.stack([held_out.tokens[place : place + context] for place in places])
    batch = torch.from_numpy(rows).long().to(device)
    model.eval()
    with torch.no_grad():
        losses = [float(_loss(model, part)) for part in batch.split(16)]
    return float(np.mean(losses))


def _optimizer(model: GPT2LMHeadModel, plan: Plan) -> torch.optim.Optimizer:
    matrices = [weight for weight in model.parameters() if weight.dim() > 1]
    vectors = [weight for weight in model.parameters() if weight.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    fused = plan.device.startswith("cuda")
    return torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.95), fused=fused)


def _done(plan: Plan) -> Iterator[float]:
    """Yield, before each step, the share of the training that is done."""
    if plan.minutes is None:
        yield from (step / plan.steps for step in range(plan.steps))
        return
    begin = time.monotonic()
    while (passed := (time.monotonic() - begin) / (60 * plan.minutes)) < 1:
        yield passed


def _schedule(done: float, warm_up: float = 0.05, lowest: float = 0.05) -> float:
    """Return the factor of the learning rate: a linear warm-up, then a cosine."""
    if done < warm_up:
        return (done + 0.002) / (warm_up + 0.002)
    fall = (done - warm_up) / (1 - warm_up)
    return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * fall))


def _batches(streams: list[Stream], context: int, plan: Plan) -> Iterator[torch.Tensor]:
    """Yield batches ``(batch, context)``; files count by the square root of their size."""
    draw = np.random.default_rng(plan.seed)
    weights = np.sqrt([len(each.tokens) for each in streams])
    weights /= weights.sum()
    while True:
        chosen = draw.choice(len(streams), size=plan.batch, p=weights)
        rows = [_window(streams[file], context, draw) for file in chosen]
        yield torch.from_numpy(np.stack(rows)).long()


def _window(source: Stream, context: int, draw: np.random.Generator) -> np.ndarray:
    place = source.starts[draw.integers(len(source.starts))]
    return source.tokens[place : place + context]


def _step(
    model: GPT2LMHeadModel, batch: torch.Tensor, optimizer: torch.optim.Optimizer, device: str
) -> float:
    batch = batch.to(device, non_blocking=True)
    cuda = device.startswith("cuda")
    with torch.autocast("cuda" if cuda else "cpu", dtype=torch.bfloat16, enabled=cuda):
        loss = _loss(model, batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def _loss(model: GPT2LMHeadModel, batch: torch.Tensor) -> torch.Tensor:
    logits = model(batch[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())
