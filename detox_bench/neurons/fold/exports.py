"""What an intervention can be exported to: one row a format.

To support another one, add a row to ``FORMATS`` with a function that says why an edit cannot be put
in it, one that writes it, and one that runs a model with it, by which every export is verified.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoConfig

from detox_bench.errors import BadData, BadIntervention, unknown_name
from detox_bench.modeling.loading import load_causal_model
from detox_bench.neurons.edit.interventions import Intervention
from detox_bench.neurons.fold.checkpoint import FLOATS, has_safetensors, read_checkpoint
from detox_bench.neurons.fold.fold_to_hf import hf_refusal, write_hf
from detox_bench.neurons.fold.fold_to_peft import (
    ia3_refusal,
    lora_bias_refusal,
    write_ia3,
    write_lora_bias,
)
from detox_bench.neurons.fold.fold_to_vectors import (
    CONTROL_VECTOR,
    READERS,
    STEERED,
    applied,
    control_vector_refusal,
    steered_refusal,
    write_control_vector,
    write_steered,
)
from detox_bench.neurons.fold.model_files import TOKENIZER, ModelFiles

_ADAPTER = "adapter_config.json"


class Format(NamedTuple):
    """One thing to export to.

    Args:
        about: What it is.
        refusal: Returns why an edit cannot be put in it, or None.
        write: Writes it to a folder; the last argument is the type of a whole checkpoint.
        whole: Whether it is a whole model, not something beside one.
        copied: What of the model's other files is copied, as patterns of names.
        use: How to use it: ``{folder}`` and ``{model}`` are filled in.
    """

    about: str
    refusal: Callable[[ModelFiles, Intervention], str | None]
    write: Callable[[ModelFiles, Intervention, Path, torch.dtype | None], None]
    use: str
    whole: bool = False
    copied: tuple[str, ...] = ()


FORMATS: dict[str, Format] = {
    "hf": Format(
        "an ordinary checkpoint with the edit in its weights",
        hf_refusal,
        write_hf,
        "lm_eval --model hf --model_args pretrained={folder}; any engine that reads checkpoints, "
        "except that MLC-LLM drops a Llama's mlp_bias (mlc-ai/mlc-llm#3494).",
        whole=True,
        copied=("*",),
    ),
    "ia3": Format(
        "an (IA)³ adapter of PEFT, for edits that only multiply",
        ia3_refusal,
        write_ia3,
        "lm_eval --model hf --model_args pretrained={model},peft={folder}; merge_and_unload() of "
        "PEFT gives an ordinary checkpoint.",
        copied=TOKENIZER,
    ),
    "lora-bias": Format(
        "a LoRA adapter of PEFT with a bias, for every operator",
        lora_bias_refusal,
        write_lora_bias,
        "lm_eval --model hf --model_args pretrained={model},peft={folder}; it merges only where "
        "the model has biases, and vLLM takes no LoRA with a bias (vllm-project/vllm#25807).",
        copied=TOKENIZER,
    ),
    "steered": Format(
        "a file for lm-eval's own model `steered`, for edits that only add",
        steered_refusal,
        write_steered,
        "lm_eval --model steered --model_args pretrained={model},steer_path={folder}/" + STEERED,
    ),
    "control-vector": Format(
        "a GGUF file for llama.cpp and repeng, for edits that only add",
        control_vector_refusal,
        write_control_vector,
        "llama-cli -m MODEL.gguf --control-vector {folder}/" + CONTROL_VECTOR,
    ),
}


def format_of(name: str) -> Format:
    """Return the row of ``name``; raises ``UnknownName`` with the nearest name."""
    if name not in FORMATS:
        raise unknown_name("export format", name, FORMATS)
    return FORMATS[name]


def check_exportable(files: ModelFiles, intervention: Intervention, name: str) -> None:
    """Raise ``BadIntervention``, naming what is possible, where an edit cannot be put in a format.

    No format knows a prompt from what follows it.
    """
    if intervention.positions != "all":
        raise BadIntervention(
            f"The intervention edits {intervention.positions} positions only, and weights act on "
            "every position. Make one with positions `all`, or run this one with "
            "`--model detox-hf` and `intervention=FILE`."
        )
    reason = format_of(name).refusal(files, intervention)
    if reason is None:
        return
    exact = [
        f"--to {other}" for other, row in FORMATS.items() if not row.refusal(files, intervention)
    ]
    scale = "" if intervention.operator in ("scale", "aura") else ", or the operator scale"
    raise BadIntervention(
        f"The operator {intervention.operator!r} cannot be exported --to {name}: {reason}. "
        f"Exact for it: {', '.join(exact)}{scale}."
    )


@contextmanager
def running(folder: str | Path, base: str, device: str | None = None) -> Iterator[Any]:
    """Load what a folder or Hub name holds, in float32, and run it.

    Files that are applied to a model while it runs are applied to ``base``. Raises
    ``DetoxBenchError`` for what cannot be loaded.
    """
    file = next((Path(folder) / name for name in READERS if (Path(folder) / name).is_file()), None)
    model = load_causal_model(base if file else str(folder), device, torch.float32).model
    with applied(model, file) if file else nullcontext(model):
        yield model


def stored_dtype(folder: str | Path) -> torch.dtype:
    """Return the coarsest floating-point type of the weights in the folder of an export.

    float32 for adapters and vectors, which are stored so; by the configuration where the weights
    are not in safetensors.
    """
    path = Path(folder)
    if (path / _ADAPTER).is_file() or any((path / name).is_file() for name in READERS):
        return torch.float32
    if path.is_dir() and has_safetensors(path):
        return coarsest(each.dtype for each in read_checkpoint(path).tensors.values())
    return _configured_dtype(str(folder))


def coarsest(names: Any) -> torch.dtype:
    """Return the coarsest of the floating-point types that safetensors calls by ``names``."""
    found = {FLOATS[name] for name in names if name in FLOATS}
    if not found:
        raise BadData(
            "The checkpoint has no floating-point weights. Take one that is not quantised."
        )
    return max(found, key=lambda dtype: torch.finfo(dtype).eps)


def _configured_dtype(name: str) -> torch.dtype:
    try:
        found = AutoConfig.from_pretrained(name, trust_remote_code=False).dtype
    except Exception:  # whoever loads it says so
        return torch.float32
    return found if isinstance(found, torch.dtype) else torch.float32


def usage(name: str, folder: Path, model: str) -> str:
    """Return in one line how an export is used."""
    return format_of(name).use.format(folder=folder, model=model)


def recorded(
    intervention: Intervention, to: str, forced: str | None, extra: Mapping[str, Any]
) -> Intervention:
    """Return the intervention with its export in its provenance: what it is now part of."""
    record = {"to": to, **({"forced": forced} if forced else {}), **extra}
    provenance = {**intervention.provenance, "export": record}
    return Intervention(
        intervention.base_model,
        intervention.operator,
        intervention.neurons,
        intervention.values,
        intervention.positions,
        provenance,
    )
