"""``detoxify:`` scorers: the numbers of ``Detoxify.predict`` itself, with no network."""

import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from doubles import MULTILINGUAL, save_classifier, save_detoxify

from detox_bench.errors import MissingExtra, ScorerUnavailable, UnknownName
from detox_bench.scorers.detoxify import VARIANTS, as_detoxify
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.protocol import scorer_info
from detox_bench.scorers.table import SCORERS, load_scorer

detoxify = pytest.importorskip("detoxify", reason="needs: pip install 'detox-bench[detoxify]'")

TEXTS = ["you fool", "hello there, friend", "", "what a stupid idea!", "you fool", "a b c " * 30]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("detoxify")
    save_detoxify(folder)
    return folder


def _load(folder: Path, spec: str = "detoxify:multilingual", **options):
    paths = {"checkpoint": folder / "tiny.ckpt", "huggingface_config_path": folder}
    return load_scorer(spec, **{**paths, **options})


def _published(folder: Path, tmp_path: Path) -> "detoxify.Detoxify":
    """Return Detoxify as its own loader makes it: the Hub name in the checkpoint replaced."""
    stored = torch.load(folder / "tiny.ckpt", weights_only=True)
    stored["config"]["arch"]["args"]["model_type"] = str(folder)
    torch.save(stored, tmp_path / "local.ckpt")
    return detoxify.Detoxify(checkpoint=str(tmp_path / "local.ckpt"))


def test_the_scores_are_those_of_detoxify_loaded_by_itself(folder, tmp_path):
    expected = _published(folder, tmp_path).predict(TEXTS)
    scores = score_texts(TEXTS, "en", _load(folder))
    assert list(expected) == list(MULTILINGUAL)
    assert [score.value for score in scores] == pytest.approx(expected["toxicity"], abs=1e-6)
    for name in MULTILINGUAL[1:]:
        assert [s.attributes[name] for s in scores] == pytest.approx(expected[name], abs=1e-6)


def test_one_text_is_a_list_and_none_is_empty_where_detoxify_is_not(folder):
    scorer = _load(folder)
    assert isinstance(as_detoxify(scorer).predict(["you fool"])["toxicity"], float)
    (score,) = scorer.score(["you fool"], "en")
    assert score.value == pytest.approx(as_detoxify(scorer).predict("you fool")["toxicity"])
    assert scorer.score([], "en") == []


def test_a_checkpoint_that_names_a_folder_needs_no_other(folder, tmp_path):
    _published(folder, tmp_path)
    scorer = load_scorer("detoxify:multilingual", checkpoint=tmp_path / "local.ckpt")
    assert scorer.score(TEXTS, "en") == _load(folder).score(TEXTS, "en")


def test_a_checkpoint_is_a_scorer_of_its_own_name(folder):
    scorer = load_scorer(f"detoxify:{folder / 'tiny.ckpt'}", huggingface_config_path=folder)
    assert scorer.id.startswith("detoxify:tiny@local#")
    assert scorer.languages == frozenset()
    assert scorer.score(TEXTS, "en") == _load(folder).score(TEXTS, "en")


@pytest.mark.parametrize("labels", [MULTILINGUAL, [f"LABEL_{i}" for i in range(16)]])
def test_a_folder_in_the_layout_of_the_hub_gives_the_same_labels(tmp_path, labels):
    save_classifier(tmp_path / "m", labels, problem_type="multi_label_classification")
    scorer = load_scorer("detoxify:multilingual", checkpoint=tmp_path / "m")
    assert scorer.labels == MULTILINGUAL
    expected = as_detoxify(scorer).predict(TEXTS)
    scores = scorer.score(TEXTS, "en")
    assert [score.value for score in scores] == pytest.approx(expected["toxicity"], abs=1e-6)


def test_the_labels_of_the_first_data_set_are_renamed(tmp_path):
    save_detoxify(tmp_path, ("toxic", "severe_toxic", "obscene", "identity_hate"))
    scorer = _load(tmp_path, "detoxify:original")
    assert scorer.labels == ("toxicity", "severe_toxicity", "obscene", "identity_attack")
    assert scorer.settings["toxic_label"] == "toxicity"


def test_what_is_recorded(folder):
    info = scorer_info(_load(folder), ["de", "fr"])
    assert info.coverage == {"de": "transfer", "fr": "declared"}
    assert set(info.libraries) == {"detoxify", "torch", "transformers"}
    assert info.settings["activation"] == "sigmoid"
    assert len(info.weights_sha256) == 64


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("config.json", '"hidden_act": "gelu"', '"hidden_act": "relu"'),
        ("tokenizer.json", '"a"', '"ä"'),
    ],
)
def test_the_same_checkpoint_with_another_config_or_tokenizer_has_another_id(
    folder, tmp_path, file, before, after
):
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    scorers = [_load(folder), _load(folder, huggingface_config_path=other)]
    assert scorers[0].id == scorers[1].id
    text = (other / file).read_text("utf-8")
    assert text.count(before) == 1
    (other / file).write_text(text.replace(before, after), "utf-8")
    scorers.append(_load(folder, huggingface_config_path=other))
    values = [scorer.score(["aa"], "en")[0].value for scorer in scorers]
    assert values[0] == values[1] != values[2]
    assert scorers[2].weights_sha256 == scorers[0].weights_sha256
    assert scorers[2].id != scorers[0].id


@pytest.mark.parametrize("tokenizer", ["AutoTokenizer", "XLMRobertaTokenizer"])
def test_code_beside_a_checkpoint_is_never_run(folder, tmp_path, tokenizer):
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    stored = torch.load(other / "tiny.ckpt", weights_only=True)
    stored["config"]["arch"]["args"]["tokenizer_name"] = tokenizer
    torch.save(stored, other / "tiny.ckpt")
    config = json.loads((other / "tokenizer_config.json").read_text())
    config["auto_map"] = {"AutoTokenizer": ["mine.T", "mine.T"]}
    (other / "tokenizer_config.json").write_text(json.dumps(config))
    witness = tmp_path / "it_ran"
    (other / "mine.py").write_text(f"open({str(witness)!r}, 'w')")
    assert len(_load(other).score(["aa"], "en")) == 1
    assert not witness.exists()


def test_every_variant_of_the_package_is_in_our_tables():
    published = set(detoxify.detoxify.MODEL_URLS)
    assert set(VARIANTS) == published
    rows = {name.partition(":")[2] for name in SCORERS if name.startswith("detoxify:")}
    assert rows == published | {"<checkpoint file or folder>"}


def test_a_published_checkpoint_in_the_cache_needs_no_network(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    url = detoxify.detoxify.MODEL_URLS["multilingual"]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / url.rpartition("/")[2]).write_bytes(
        (folder / "tiny.ckpt").read_bytes()
    )
    scorer = load_scorer("detoxify:multilingual", huggingface_config_path=folder)
    assert scorer.version == "v0.4-alpha"


# What is amiss


class Runs:
    """An object that runs a command when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return os.mkdir, (str(self.witness),)


def test_a_checkpoint_that_runs_code_is_refused_and_does_not_run(tmp_path):
    witness = tmp_path / "it_ran"
    save_detoxify(tmp_path, extra=Runs(witness))
    with pytest.raises(ScorerUnavailable, match=r"can run code.*allow_pickle=true"):
        _load(tmp_path)
    assert not witness.exists()
    _load(tmp_path, allow_pickle=True)
    assert witness.exists()


def _truncated(folder: Path) -> bytes:
    return (folder / "tiny.ckpt").read_bytes()[:5000]


def _without_config(folder: Path) -> bytes:
    out = io.BytesIO()
    torch.save({"state_dict": {}}, out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (_truncated, "is no file that torch.save wrote, or only a part of one"),
        (lambda folder: b"hello", "is no file that torch.save wrote"),
        (_without_config, r"is no checkpoint of Detoxify.*'config' is not there"),
    ],
)
def test_a_file_that_is_no_checkpoint(folder, tmp_path, content, sentence):
    (tmp_path / "tiny.ckpt").write_bytes(content(folder))
    with pytest.raises(ScorerUnavailable, match=sentence):
        _load(folder, checkpoint=tmp_path / "tiny.ckpt")


def test_a_checkpoint_that_lacks_weights(folder, tmp_path):
    stored = torch.load(folder / "tiny.ckpt", weights_only=True)
    del stored["state_dict"]["classifier.out_proj.weight"]
    torch.save(stored, tmp_path / "tiny.ckpt")
    with pytest.raises(ScorerUnavailable, match=r"weights of classifier\.out_proj\.weight"):
        _load(folder, checkpoint=tmp_path / "tiny.ckpt")


def test_a_checkpoint_may_name_no_other_class_of_transformers(folder, tmp_path):
    stored = torch.load(folder / "tiny.ckpt", weights_only=True)
    stored["config"]["arch"]["args"]["model_name"] = "Trainer"
    torch.save(stored, tmp_path / "tiny.ckpt")
    with pytest.raises(UnknownName, match="Unknown Detoxify architecture 'Trainer'"):
        _load(folder, checkpoint=tmp_path / "tiny.ckpt")


def test_without_config_and_network_the_sentence_says_what_to_pass(folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ScorerUnavailable, match=r"'xlm-roberta-base'.*huggingface_config_path="):
        load_scorer("detoxify:multilingual", checkpoint=folder / "tiny.ckpt")


def test_a_file_that_is_not_there():
    with pytest.raises(ScorerUnavailable, match=r"there is no checkpoint /no/such\.ckpt"):
        load_scorer("detoxify:multilingual", checkpoint="/no/such.ckpt")


def test_without_the_package_the_install_line(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "detoxify", None)
    with pytest.raises(MissingExtra, match=r"pip install 'detox-bench\[detoxify\]'"):
        _load(folder)
