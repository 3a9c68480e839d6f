"""Task files of our own for the tests of capability, their data beside them."""

import json
from pathlib import Path

import torch
from conftest import byte_tokenizer
from yaml import safe_dump

WORDS = ("cloud", "river", "stone", "paper", "green", "seven")
CHOICES = (" ab", " cd", " ef", " gh")


def documents(model, count: int) -> list[dict]:
    """Return questions whose right answer is the one that ``model`` likes best."""
    found = []
    for number in range(count):
        text = f"{WORDS[number % 6]} {number} {WORDS[number // 6 % 6]}"
        liked = max(range(len(CHOICES)), key=lambda n, text=text: _likelihood(model, text, n))
        found.append({"id": f"item/{number}", "text": text, "ends": CHOICES, "gold": liked})
    return found


def _likelihood(model, text: str, choice: int) -> float:
    before, after = (byte_tokenizer()(each)["input_ids"] for each in (text, CHOICES[choice]))
    with torch.no_grad():
        logits = model(torch.tensor([[*before, *after]])).logits[0].log_softmax(-1)
    return float(sum(logits[len(before) - 1 + n, token] for n, token in enumerate(after)))


def write_task(folder: Path, name: str, rows: list[dict], **settings) -> Path:
    """Write a multiple-choice task, or what ``settings`` make of it, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    config = {
        "task": name,
        "tag": "made",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(folder / "cache")},
        "output_type": "multiple_choice",
        "test_split": "test",
        "doc_to_text": "text",
        "doc_to_target": "gold",
        "doc_to_choice": "ends",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
        **settings,
    }
    kept = {key: value for key, value in config.items() if value is not None}
    (folder / f"{name}.yaml").write_text(safe_dump(kept), "utf-8")
    return folder
