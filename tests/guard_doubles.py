"""Tiny random safety classifiers of the architectures and chat formats of the real ones."""

from pathlib import Path
from typing import Any, NamedTuple

WINDOW = 2048
_WORDS = ["Safety: Safe Safety: Unsafe Safety: Controversial", "safe unsafe", "request: yes no"]

#: A template that holds the text in the middle of its own words and begins the answer by itself.
_QWEN = """\
<|im_start|>user
Judge what the person wrote.

USER: {{ messages[0]['content'] }}

Answer with 'Safety: ' and a word.<|im_end|>
<|im_start|>assistant
<think>

</think>

"""
#: A template for chats that begins the answer when it is asked to.
_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
#: A template that takes the content of a message in parts.
_LLAMA = (
    "{{ bos_token }}<|start_header_id|>user<|end_header_id|>\n\nJudge the text.\n\n"
    "User: {{ messages[0]['content'][0]['text'] | trim }}\n\nAnswer safe or unsafe."
    "<|eot_id|><|start_header_id|>assistant<|end_header_id|>"
)


class Format(NamedTuple):
    """The chat template of a family, its special tokens, other added tokens, and its model."""

    template: str
    special: tuple[str, ...]
    added: tuple[str, ...]
    model: str


_CHAT_ML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_HEADERS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
FORMATS = {
    "qwen3guard": Format(_QWEN, _CHAT_ML, ("<think>", "</think>"), "Qwen3"),
    "polyguard": Format(_CHAT, _CHAT_ML, (), "Qwen2"),
    "llama-guard-3": Format(_LLAMA, _HEADERS, (), "Llama"),
}


def guard_tokenizer(family: str) -> Any:
    """Return a byte-level tokenizer with a few merges, and the added tokens of a family."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(r" ?\p{L}+| ?[^\s\p{L}]+|\s*[\r\n]+|\s+"), "isolated")
    bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([words, bytes_])
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=270, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(_WORDS * 4, trainer)
    special, added = FORMATS[family].special, FORMATS[family].added
    made.add_special_tokens([AddedToken(token, special=True) for token in special])
    made.add_tokens([AddedToken(token, special=False, normalized=False) for token in added])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        bos_token=special[0],
        eos_token=special[-1],
        chat_template=FORMATS[family].template,
        clean_up_tokenization_spaces=False,
    )


def guard_model(family: str, n_tokens: int, seed: int = 0) -> Any:
    """Return a random model of the family's architecture, spread out enough to prefer a label."""
    import torch
    import transformers

    torch.manual_seed(seed)
    kind = FORMATS[family].model
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=n_tokens,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=WINDOW,
        initializer_range=0.3,
        tie_word_embeddings=False,
    )
    return getattr(transformers, f"{kind}ForCausalLM")(config).eval()


def save_guard(folder: Path, family: str = "qwen3guard", seed: int = 0) -> Path:
    """Write a tiny safety classifier and its tokenizer to ``folder``, which is returned."""
    tokenizer = guard_tokenizer(family)
    guard_model(family, len(tokenizer), seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_guard_in_hub_cache(cache: Path, repository: str, family: str) -> str:
    """Write a tiny safety classifier where the Hub's cache would hold it; return its commit."""
    commit = f"{len(repository):040x}"
    folder = cache / f"models--{repository.replace('/', '--')}"
    save_guard(folder / "snapshots" / commit, family)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    return commit
