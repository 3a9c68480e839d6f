"""``detox-hf``: lm-eval's Hugging Face model with sampling that can be repeated, and resumed.

Requests that say how to sample get their continuations from ``detox_bench.modeling.sampling``;
everything else is lm-eval's own ``hf``, with all its arguments. Ours are ``seed``, ``run_folder``,
``intervention`` and ``force_intervention``.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import postprocess_generated_text
from tqdm import tqdm

from detox_bench.errors import DetoxBenchError
from detox_bench.harness.requests import (
    Wanted,
    by_arguments,
    by_prompt,
    sampled,
    settings_of,
    wanted,
)
from detox_bench.harness.scoring import numbers, score_requests
from detox_bench.modeling.fingerprint import configuration, tokenizer_content, weights_sha256
from detox_bench.modeling.forward import CausalModel
from detox_bench.modeling.nucleus import SamplingSettings
from detox_bench.modeling.sampling import SampledTokens, Sampler, SampleRequest
from detox_bench.neurons.edit.applied import Applied
from detox_bench.run_records import describe
from detox_bench.runs import RunFolder, SampleKey, digest

logger = logging.getLogger(__name__)

#: Changes whenever the same model, seed and settings would give other texts.
ENGINE = "detox-bench-1"
#: What ``batch_size=auto`` begins with; halved whenever the device runs out of memory.
_AUTO_BATCH = {"cpu": 256, "cuda": 2048}


@register_model("detox-hf")
class DetoxHFLM(HFLM):  # type: ignore[misc]
    """lm-eval's ``hf`` with seeded, shared-prefill, resumable sampling."""

    def __init__(
        self,
        pretrained: Any,
        seed: int = 0,
        run_folder: str | None = None,
        intervention: str | None = None,
        force_intervention: bool = False,
        batch_size: int | str | None = "auto",
        **kwargs: Any,
    ) -> None:
        """Load a model as lm-eval's ``hf`` does.

        Args:
            pretrained: Folder, Hub name, or loaded model.
            seed: Decides, with a prompt's id and a sample's number, every draw.
            run_folder: Where continuations are kept as they come, and found again when the same
                run is started anew.
            intervention: A file of ``detox-bench neurons make``: the model is edited in all that it
                does, generation, log-likelihoods and hidden states.
            force_intervention: Take one that was made for another model; that is recorded.
            batch_size: How many continuations are decoded at once. It changes no text in float32.
            kwargs: Everything else that ``hf`` takes.
        """
        checked = _whole_number("seed", seed)
        self._given = pretrained
        super().__init__(pretrained, batch_size=batch_size, **kwargs)
        self.seed = checked
        self.run_folder = Path(run_folder) if run_folder else None
        self._take_a_share()
        self.intervention = (
            Applied.to(self.model, _name(pretrained), Path(intervention), force_intervention)
            if intervention
            else None
        )

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return a continuation a request: drawn by our engine, or else made by lm-eval's."""
        answers: dict[int, str] = {}
        for kwargs, places in by_arguments(requests):
            part = [requests[place] for place in places]
            ours = self.backend == "causal" and sampled(kwargs, self.max_gen_toks)
            make = self._sample if ours else super().generate_until
            answers.update(zip(places, make(part, disable_tqdm), strict=True))
        return [answers[place] for place in range(len(requests))]

    def get_model_info(self) -> dict[str, Any]:
        """Return what lm-eval records of a model, and what makes our texts repeatable."""
        applied = {"detox_intervention": self.intervention.as_json()} if self.intervention else {}
        return {**super().get_model_info(), **self._identity, **applied}

    def gather_object(self, obj: Any, dst: int = 0) -> Any:
        """Gather from all processes; a metric that no prompt of a process has is an empty list."""
        found = super().gather_object(obj, dst)
        for tasks in found or ():
            for task, metrics in tasks.items():
                tasks[task] = defaultdict(list, metrics) if isinstance(metrics, dict) else metrics
        return found

    def _loglikelihood_tokens(
        self,
        requests: list[tuple[Any, list[int], list[int]]],
        disable_tqdm: bool = False,
        override_bs: int | None = None,
    ) -> list[tuple[float, bool]]:
        """Return lm-eval's answers, by our own pass where an edit spares the context."""
        if self.intervention is None or self.intervention.everywhere:
            found = list(super()._loglikelihood_tokens(requests, disable_tqdm, override_bs))
            return found if self.intervention is None else numbers(found)
        answers = score_requests(
            self.model, requests, self.max_length, self._precision, disable_tqdm or self.rank != 0
        )
        for (key, *_), answer in zip(requests, answers, strict=True):
            if key is not None:  # lm-eval keeps rolling ones by itself
                self.cache_hook.add_partial("loglikelihood", key, answer)
        return answers

    def _take_a_share(self) -> None:
        """Let each process of ``accelerate launch`` do its share on CPUs too (hf: GPUs only)."""
        accelerator = getattr(self, "accelerator", None)
        if accelerator is not None and accelerator.num_processes > 1 and self.world_size == 1:
            self._rank, self._world_size = accelerator.process_index, accelerator.num_processes

    def _sample(self, requests: Sequence[Instance], disable_tqdm: bool) -> list[str]:
        """Return the texts of requests with equal arguments, making those not yet in the run."""
        if self.device.type == "mps":
            raise DetoxBenchError(
                "detox-hf draws in float64, which Apple's GPUs lack. Use --device cpu, or hf."
            )
        asked = wanted(requests)
        kwargs = requests[0].args[1]
        settings = settings_of(kwargs, self.max_gen_toks, self.seed)
        with self._open_run() as run:
            texts = run.texts(asked[0].key.settings) if run else {}
            self._describe(kwargs, asked)
            missing = {each.key: each for each in asked if each.key not in texts}
            hidden = disable_tqdm or self.rank != 0
            with tqdm(total=len(missing), desc="Sampling", unit=" texts", disable=hidden) as bar:
                for batch in self._make(missing, settings, kwargs.get("until")):
                    texts.update((each.key, text) for each, text in batch)
                    if run:
                        run.add(each.with_text(text) for each, text in batch)
                    bar.update(len(batch))
        return [texts[each.key] for each in asked]

    def _open_run(self) -> Any:
        if self.run_folder is None:
            return nullcontext()
        return RunFolder(self.run_folder, self._identity, self.rank)

    def _describe(self, kwargs: dict[str, Any], asked: Sequence[Wanted]) -> None:
        """Note in the run folder what these continuations are asked with."""
        if self.run_folder is not None and self.rank == 0:
            prompts = {each.prompts for each in asked if each.prompts}
            describe(self.run_folder, kwargs, _name(self._given), prompts)

    def _make(
        self, missing: dict[SampleKey, Wanted], settings: SamplingSettings, until: Any
    ) -> Iterator[list[tuple[Wanted, str]]]:
        """Yield continuations batch by batch, in smaller batches when memory runs out."""
        batch_size = self._first_batch_size()
        left = dict(missing)
        while left:
            sampler = self._sampler(settings, batch_size)
            try:
                with self._precision():
                    for batch in sampler.sample(self._encode(left.values(), settings)):
                        yield self._texts(batch, left, until)
            except torch.OutOfMemoryError:
                if batch_size == 1:
                    raise
                batch_size //= 2
                logger.warning("Out of memory: going on with batch size %d.", batch_size)
                torch.cuda.empty_cache()

    def _texts(
        self, batch: Sequence[SampledTokens], left: dict[SampleKey, Wanted], until: Any
    ) -> list[tuple[Wanted, str]]:
        """Take what was sampled out of ``left`` and return it with its text."""
        made = []
        for each in batch:
            text = postprocess_generated_text(self.tok_decode(each.tokens), until, None)
            key = each.request.label._replace(sample=each.sample)
            made.append((left.pop(key), text))
        return made

    def _encode(
        self, left: Iterable[Wanted], settings: SamplingSettings
    ) -> Iterator[SampleRequest]:
        """Yield a request a prompt, its text cut on the left to what fits the model."""
        room = self.max_length - settings.new_tokens
        if room <= 0:
            raise DetoxBenchError(
                f"{settings.new_tokens} new tokens do not fit a window of {self.max_length}. "
                "Ask for fewer: --gen_kwargs max_gen_toks=N."
            )
        for first, samples in by_prompt(left):
            tokens = self.tok_encode(first.context, left_truncate_len=room)
            tokens = tokens or [self.prefix_token_id]
            yield SampleRequest(first.key.prompt_id, tuple(tokens), samples, first.key)

    def _sampler(self, settings: SamplingSettings, batch_size: int) -> Sampler:
        model = CausalModel(self.model, self.tokenizer.pad_token_id or 0)
        return Sampler(model, settings, self._stop_tokens, batch_size)

    def _precision(self) -> torch.autocast:
        """Return the context for the argument ``mixed_precision_dtype``."""
        dtype = self.mixed_precision_dtype
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None)

    def _first_batch_size(self) -> int:
        if self.batch_size == "auto":
            return _AUTO_BATCH.get(self.device.type, _AUTO_BATCH["cpu"])
        return int(self.batch_size)

    @cached_property
    def _stop_tokens(self) -> set[int]:
        """Return the ids that end a text: the tokenizer's, and those of the generation settings."""
        own = getattr(self.model.generation_config, "eos_token_id", None)
        stops = own if isinstance(own, list) else [own]
        return {int(token) for token in (*stops, self.eot_token_id) if token is not None}

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """Return what the texts depend on besides the generation arguments."""
        return {
            "engine": ENGINE,
            "seed": self.seed,
            "weights_sha256": weights_sha256(self.model),
            "configuration": digest(configuration(self.model)),
            "tokenizer": digest(tokenizer_content(self.tokenizer)),
            "stop_tokens": sorted(self._stop_tokens),
            "dtype": str(self.mixed_precision_dtype or self.model.dtype).removeprefix("torch."),
            "max_length": self.max_length,
            "add_bos_token": self.add_bos_token,
            **(self.intervention.identity if self.intervention else {}),
        }


def _whole_number(name: str, value: Any) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise DetoxBenchError(f"{name}={value!r} is no whole number.") from error


def _name(pretrained: Any) -> str:
    """Return what a model is called that was named, or handed over loaded."""
    return pretrained if isinstance(pretrained, str) else str(pretrained.config._name_or_path)
