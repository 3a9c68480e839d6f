"""What every test stands on: no network, private folders, and tiny models made on the spot."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from browser import chromium_path, running

# Before torch, transformers or a child process reads them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

END = "<|end|>"
WIDTH, LAYERS, WINDOW = 16, 2, 128


@pytest.fixture(autouse=True)
def private_folders(tmp_path_factory, monkeypatch) -> Iterator[Path]:
    """Keep the user's data store and score cache out of every test, and tests out of each other."""
    folder = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("DETOX_BENCH_DATA", str(folder / "data"))
    monkeypatch.setenv("DETOX_BENCH_CACHE", str(folder / "scores.sqlite"))
    yield folder
    forget()


def forget() -> None:
    """Empty what the tasks of ``harness`` keep for the length of a process."""
    retrieval = sys.modules.get("detox_bench.harness.retrieval_tasks")
    if retrieval is not None:
        retrieval._load_pairs.cache_clear()
    tasks = sys.modules.get("detox_bench.harness.tasks")
    if tasks is None:
        return
    if tasks._cache.cache_info().currsize:
        tasks._cache().close()
    for kept in (tasks._cache, tasks._load_prompts, tasks._load_scorer):
        kept.cache_clear()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of the real data, or skip."""
    named = os.environ.get("DETOX_BENCH_SHARED")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the data folder; DETOX_BENCH_SHARED names it ({folder} is not there)")
    return folder


def byte_tokenizer() -> Any:
    """Return a tokenizer of the 256 bytes and an end token, which takes any text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {**{byte: number for number, byte in enumerate(bytes_)}, END: len(bytes_)}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token=END, clean_up_tokenization_spaces=False
    )


def tiny_gpt2(seed: int = 0) -> Any:
    """Return a random GPT-2 of about 13,000 parameters, spread out enough to prefer some tokens."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=257,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=2,
        n_positions=WINDOW,
        initializer_range=0.5,
        bos_token_id=256,
        eos_token_id=256,
    )
    return GPT2LMHeadModel(config).eval()


def tiny_llama(seed: int = 0, **options: Any) -> Any:
    """Return a random Llama (rotary positions, gated MLP, grouped heads) of the same size."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=257,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=WINDOW,
        initializer_range=0.5,
        bos_token_id=256,
        eos_token_id=256,
        pad_token_id=None,
        **options,
    )
    return LlamaForCausalLM(config).eval()


def tiny_mistral(seed: int = 0, sliding_window: int = 8) -> Any:
    """Return a random Mistral that sees the last ``sliding_window`` tokens only."""
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(seed)
    config = MistralConfig(
        vocab_size=257,
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        sliding_window=sliding_window,
        initializer_range=0.5,
    )
    return MistralForCausalLM(config).eval()


def tiny_mamba(seed: int = 0) -> Any:
    """Return a random state space model, which has no key-value cache."""
    import torch
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(seed)
    config = MambaConfig(
        vocab_size=257,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        state_size=4,
        initializer_range=0.5,
    )
    return MambaForCausalLM(config).eval()


def ending_tokenizer() -> Any:
    """Return a tokenizer in which ``ab`` is one token, and which adds a begin and an end token."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"a": 0, "b": 1, "c": 2, "ab": 3, "<s>": 4, "</s>": 5}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[("a", "b")]))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [("<s>", 4), ("</s>", 5)]
    made.post_processor = processors.TemplateProcessing("<s> $0 </s>", special_tokens=special)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")


def _saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory) -> Path:
    """Return the folder of a tiny random GPT-2 with a byte tokenizer."""
    return _saved(tiny_gpt2(), tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory) -> Path:
    """Return the folder of a tiny random Llama with a byte tokenizer."""
    return _saved(tiny_llama(), tmp_path_factory.mktemp("llama"))


def detox_hf(folder: Path, **options: Any) -> Any:
    """Return the model in ``folder`` as lm-eval's ``detox-hf``."""
    from detox_bench.harness.model import DetoxHFLM

    return DetoxHFLM(str(folder), **{"device": "cpu", "dtype": "float32", **options})


def evaluate_tasks(model: Any, *tasks: str, limit: int = 2, **options: Any) -> dict[str, Any]:
    """Return what lm-eval makes of ``tasks`` on the sample prompts, with all samples."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from detox_bench.locations import tasks_path

    manager = TaskManager(
        include_defaults=False,
        include_path=str(tasks_path()),
        metadata=options.pop("metadata", None),
    )
    with patch("lm_eval.evaluator.add_env_info"):  # asks the shell about the machine for a second
        found = simple_evaluate(
            model=model,
            tasks=list(tasks),
            limit=limit,
            log_samples=True,
            task_manager=manager,
            **options,
        )
    assert found is not None
    return dict(found)


def texts_of(results: dict[str, Any]) -> dict[str, list[str]]:
    """Return the continuations of every prompt among lm-eval's results, by prompt id."""
    return {
        sample["doc"]["id"]: list(sample["resps"][0])
        for samples in results["samples"].values()
        for sample in samples
    }


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Path:
    """Return a board of the leaderboard with a base and a model made from it; it stays as it is."""
    from submission_doubles import add_base, add_model

    board: Path = tmp_path_factory.mktemp("original")
    _, base = add_base(board)
    add_model(board, base)
    return board


@pytest.fixture
def board(original, tmp_path) -> Path:
    """Return a copy of ``original``."""
    return Path(shutil.copytree(original, tmp_path / "board"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium for the pages of the report and the leaderboard."""
    pytest.importorskip("playwright", reason="needs Playwright, of detox-bench[dev]")
    if chromium_path() is None:
        pytest.skip("needs Chromium: install it, or name it in DETOX_BENCH_CHROMIUM")
    with running() as started:
        yield started
