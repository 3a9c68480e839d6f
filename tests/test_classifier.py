"""``hf:`` scorers: the same numbers as transformers alone, and one sentence for what is amiss."""

import json
import math
from pathlib import Path

import pytest
import torch
from doubles import save_classifier, save_in_hub_cache, tiny_model, tiny_tokenizer
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from detox_bench.errors import ScorerUnavailable, UnknownName
from detox_bench.scorers.driver import score_texts
from detox_bench.scorers.labels import find_activation, toxic_index
from detox_bench.scorers.logits import (
    CHARACTERS_A_TOKEN,
    SequenceClassifier,
    longest_input,
    token_batches,
)
from detox_bench.scorers.protocol import scorer_info
from detox_bench.scorers.table import load_scorer
from detox_bench.scorers.weights import weight_files

TEXTS = [
    "you fool",
    "hello there, friend",
    "",
    "what a stupid idea, who would say that?",
    "a",
    "thanks!",
    "this goes on and on, " * 20,
]


@pytest.fixture(scope="module")
def binary(tmp_path_factory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("binary"), ("neutral", "toxic"))


@pytest.fixture(scope="module")
def multi(tmp_path_factory) -> Path:
    labels = ("obscene", "toxic", "threat")
    problem = "multi_label_classification"
    return save_classifier(tmp_path_factory.mktemp("multi"), labels, problem_type=problem)


def _alone(folder: Path, text: str) -> torch.Tensor:
    """Return the logits of one text by transformers alone."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        return model(**tokenizer(text, truncation=True, return_tensors="pt")).logits[0]


def test_two_labels_are_a_softmax_equal_to_transformers_one_text_at_a_time(binary):
    scorer = load_scorer(f"hf:{binary}")
    for text, score in zip(TEXTS, scorer.score(TEXTS, "en"), strict=True):
        neutral, toxic = _alone(binary, text).softmax(-1).tolist()
        assert score.value == pytest.approx(toxic, abs=1e-6)
        assert score.attributes == {"neutral": pytest.approx(neutral, abs=1e-6)}


def test_many_labels_are_sigmoids_equal_to_transformers_one_text_at_a_time(multi):
    scorer = load_scorer(f"hf:{multi}")
    for text, score in zip(TEXTS, scorer.score(TEXTS, "en"), strict=True):
        obscene, toxic, threat = _alone(multi, text).sigmoid().tolist()
        assert score.value == pytest.approx(toxic, abs=1e-6)
        assert score.attributes == pytest.approx({"obscene": obscene, "threat": threat}, abs=1e-6)


def test_the_batch_size_does_not_change_a_score(multi):
    one, many = (load_scorer(f"hf:{multi}", batch_size=size) for size in (1, 64))
    pairs = zip(one.score(TEXTS, "en"), many.score(TEXTS, "en"), strict=True)
    assert all(a.value == pytest.approx(b.value, abs=1e-6) for a, b in pairs)
    assert one.id == many.id


def test_texts_that_are_cut_are_counted(binary):
    scorer = load_scorer(f"hf:{binary}")
    score_texts(TEXTS, "en", scorer)
    assert scorer_info(scorer).truncated == 1
    short = load_scorer(f"hf:{binary}", max_length=4)
    assert short.score(["hello there"], "en") == short.score(["hezzzzz"], "en")
    assert short.truncated == 2


def test_whatever_changes_a_score_changes_the_id(binary, tmp_path):
    ids = [
        load_scorer(f"hf:{binary}", **options).id
        for options in (
            {},
            {"toxic_label": "neutral"},
            {"activation": "sigmoid"},
            {"max_length": 8},
            {"dtype": "bfloat16"},
        )
    ]
    other = save_classifier(tmp_path / binary.name, ("neutral", "toxic"), seed=1)
    ids.append(load_scorer(f"hf:{other}").id)
    assert len(set(ids)) == len(ids)
    assert all(one.startswith(f"hf:{binary.name}@local#") for one in ids)


def _edit_json(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_same_weights_with_another_tokenizer_have_another_id(binary, tmp_path):
    folder = _copy(binary, tmp_path / binary.name)
    before = load_scorer(f"hf:{folder}")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary[5], vocabulary[6] = vocabulary[6], vocabulary[5]  # a is b, b is a
    _edit_json(folder / "tokenizer.json", model=tokenizer["model"])
    after = load_scorer(f"hf:{folder}")
    assert after.score(["aa"], "en")[0].value != before.score(["aa"], "en")[0].value
    assert after.weights_sha256 == before.weights_sha256
    assert after.id != before.id
    _edit_json(folder / "tokenizer_config.json", padding_side="left")
    assert load_scorer(f"hf:{folder}").id not in {before.id, after.id}


def test_the_same_weights_with_another_config_have_another_id(binary, tmp_path):
    folder = _copy(binary, tmp_path / binary.name)
    before = load_scorer(f"hf:{folder}")
    assert before.id == load_scorer(f"hf:{binary}").id
    _edit_json(folder / "config.json", hidden_act="relu")
    after = load_scorer(f"hf:{folder}")
    assert after.score(["aa"], "en")[0].value != before.score(["aa"], "en")[0].value
    assert after.weights_sha256 == before.weights_sha256
    assert after.id != before.id


def test_bfloat16_is_near_float32(multi):
    exact, fast = (load_scorer(f"hf:{multi}", dtype=d) for d in ("float32", "bfloat16"))
    pairs = zip(exact.score(TEXTS, "en"), fast.score(TEXTS, "en"), strict=True)
    assert max(abs(a.value - b.value) for a, b in pairs) < 0.05
    assert scorer_info(fast).dtype == "bfloat16"


def test_options_may_be_strings(binary):
    scorer = load_scorer(f"hf:{binary}", languages="de, fr", threshold="0.7", batch_size="2")
    assert scorer.languages == {"de", "fr"}
    assert scorer.threshold == 0.7


@pytest.mark.parametrize(
    ("labels", "index"),
    [
        (("neutral", "toxic"), 1),
        (("toxic", "non-toxic"), 0),
        (("Non-Toxic", "Toxic"), 1),
        (("nothate", "hate"), 1),
        (("toxic", "severe_toxicity", "obscene", "identity_attack"), 0),
        (("severe_toxicity", "toxicity"), 1),
        (("HATE SPEECH", "none"), 0),
        (("LABEL_0",), 0),
    ],
)
def test_the_toxic_label_is_found(labels, index):
    assert toxic_index(labels, None, "hf:x") == index


@pytest.mark.parametrize(
    "labels", [("LABEL_0", "LABEL_1"), ("not_toxic", "other"), ("joy", "fear")]
)
def test_a_toxic_label_is_not_guessed(labels):
    with pytest.raises(ScorerUnavailable, match=f"{labels[0]}, {labels[1]}.*toxic_label="):
        toxic_index(labels, None, "hf:x")


@pytest.mark.parametrize("given", ["LABEL_1", "label_1", 1, "1"])
def test_a_toxic_label_may_be_given_by_name_or_number(given):
    assert toxic_index(("LABEL_0", "LABEL_1"), given, "hf:x") == 1


def test_a_label_that_is_not_there_lists_those_that_are():
    with pytest.raises(ScorerUnavailable, match=r"hf:x has no label 'rude'.*joy, fear"):
        toxic_index(("joy", "fear"), "rude", "hf:x")


@pytest.mark.parametrize(
    ("problem_type", "n_labels", "activation"),
    [
        ("multi_label_classification", 6, "sigmoid"),
        ("single_label_classification", 2, "softmax"),
        (None, 2, "softmax"),
        (None, 1, "sigmoid"),
        ("regression", 1, "sigmoid"),
    ],
)
def test_the_activation_follows_the_config(problem_type, n_labels, activation):
    assert find_activation(problem_type, n_labels, None) == activation


def test_an_unknown_activation_gets_the_nearest_name():
    with pytest.raises(UnknownName, match=r"Did you mean 'softmax'\?"):
        find_activation(None, 2, "sofmax")


def test_logits_that_are_not_finite_are_unscored(binary):
    scorer = load_scorer(f"hf:{binary}")
    with torch.no_grad():
        scorer.classifier.model.classifier.out_proj.bias.fill_(math.nan)
    (score,) = scorer.score(["a"], "en")
    assert (score.value, score.reason) == (None, "the model gave nan")


def test_half_characters_are_read_as_the_sign_for_them(binary):
    half, sign, good = score_texts(["a\ud800", "a�", "you"], "en", load_scorer(f"hf:{binary}"))
    assert half.value == pytest.approx(sign.value, abs=1e-6) and good.value is not None


def test_of_a_text_of_10_megabytes_only_the_beginning_is_tokenised(binary, monkeypatch):
    scorer = load_scorer(f"hf:{binary}")
    sizes, tokenize = [], SequenceClassifier._tokenize

    def noted(self, texts, truncation=False):
        sizes.extend(len(text) for text in texts)
        return tokenize(self, texts, truncation)

    monkeypatch.setattr(SequenceClassifier, "_tokenize", noted)
    long = "you fool " * 1_200_000
    first, short = scorer.score([long, "you"], "en")
    assert max(sizes) <= scorer.classifier.max_length * CHARACTERS_A_TOKEN
    assert scorer.truncated == 1 and short.value is not None
    (cut,) = scorer.score([long[:1000]], "en")
    assert first.value == pytest.approx(cut.value, abs=1e-6)


def test_a_long_text_of_few_tokens_is_read_whole(binary):
    # spaces are no tokens here: what matters stands behind more of them than are tokenised at first
    scorer = load_scorer(f"hf:{binary}")
    gap = " " * (scorer.classifier.max_length * CHARACTERS_A_TOKEN + 1)
    far, near = scorer.score([f"you{gap}fool", "you fool"], "en")
    assert far.value == pytest.approx(near.value, abs=1e-6) and scorer.truncated == 0


# Batches


def test_batches_hold_every_index_once_within_both_bounds():
    lengths = [5, 40, 7, 7, 100, 12, 3, 9, 9, 40]
    batches = list(token_batches(lengths, tokens=80, texts=4))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= 4
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 80
    # 100 is a batch of its own; 2 x 40 = 80 fit; then 12 9 9 7 (4 x 12), 7 5 3
    assert batches == [[4], [1, 9], [5, 7, 8, 2], [3, 0, 6]]


class OutOfMemory:
    """A model that takes no more than ``most`` texts; counts what it was given."""

    def __init__(self, model, most: int) -> None:
        self.model, self.most, self.given = model, most, []
        self.config, self.device = model.config, torch.device("cpu")

    def __call__(self, input_ids, **rest):
        self.given.append(len(input_ids))
        if len(input_ids) > self.most:
            raise torch.OutOfMemoryError("no memory left")
        return self.model(input_ids=input_ids, **rest)


def test_out_of_memory_halves_the_batches_and_changes_no_score():
    model = tiny_model(("neutral", "toxic"))
    texts = ["a" * (i % 9) for i in range(16)]
    expected = SequenceClassifier(model, tiny_tokenizer(), 64).logits(texts)
    small = OutOfMemory(model, most=5)
    logits = SequenceClassifier(small, tiny_tokenizer(), 64).logits(texts)
    assert torch.allclose(logits, expected, atol=1e-6)
    assert small.given == [16, 8, 4, 4, 8, 4, 4]


def test_out_of_memory_with_one_text_on_the_cpu_is_an_error():
    model = OutOfMemory(tiny_model(("neutral", "toxic")), most=0)
    with pytest.raises(torch.OutOfMemoryError):
        SequenceClassifier(model, tiny_tokenizer(), 64).logits(["a", "b"])


def test_out_of_memory_with_one_text_on_a_gpu_goes_to_the_cpu(caplog):
    texts = ["a", "bb"]
    expected = SequenceClassifier(tiny_model(("neutral", "toxic")), tiny_tokenizer(), 64)
    model = OutOfMemory(tiny_model(("neutral", "toxic")), most=0)
    model.device = torch.device("meta")  # stands for a GPU

    def to(device, dtype):
        model.device, model.most = torch.device(device), 512

    model.to = to
    logits = SequenceClassifier(model, tiny_tokenizer(), 64).logits(texts)
    assert torch.allclose(logits, expected.logits(texts), atol=1e-6)
    assert "continues on the CPU" in caplog.text


def test_a_tokenizer_without_padding_is_given_one_text_at_a_time(multi):
    classifier = load_scorer(f"hf:{multi}").classifier
    expected = classifier.logits(TEXTS)
    classifier.tokenizer.pad_token = None
    assert torch.allclose(classifier.logits(TEXTS), expected, atol=1e-6)


def test_left_padding_is_respected(multi):
    classifier = load_scorer(f"hf:{multi}").classifier
    classifier.tokenizer.padding_side = "left"
    columns = classifier._encode(["a", "abc"])
    rows = classifier._padded(columns, [0, 1])
    assert rows["input_ids"][0].tolist()[:2] == [classifier.tokenizer.pad_token_id] * 2
    assert rows["attention_mask"].tolist() == [[0, 0, 1, 1, 1, 1], [1] * 6]


def test_the_longest_input_is_the_least_of_all_limits():
    tokenizer, config = tiny_tokenizer(), tiny_model(("a", "b")).config
    assert longest_input(tokenizer, config) == 64  # 66 positions, of which XLM-R loses 2
    assert longest_input(tokenizer, config, 10) == 10
    assert longest_input(tokenizer, config, 1000) == 64
    tokenizer.model_max_length = 10**30
    assert longest_input(tokenizer, config) == 64


# What is amiss


def _copy(folder: Path, to: Path, leave_out: tuple[str, ...] = ()) -> Path:
    to.mkdir()
    for path in folder.iterdir():
        if path.name not in leave_out:
            (to / path.name).write_bytes(path.read_bytes())
    return to


def test_a_folder_that_is_not_there():
    with pytest.raises(ScorerUnavailable, match="there is no folder /no/such/folder"):
        load_scorer("hf:/no/such/folder")


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (("config.json",), "holds no config.json"),
        (("tokenizer.json",), "holds no tokenizer"),
        (("model.safetensors",), r"no weights \(model\.safetensors, .*found: config.json"),
    ],
)
def test_a_folder_that_lacks_a_file(binary, tmp_path, missing, sentence):
    with pytest.raises(ScorerUnavailable, match=sentence):
        load_scorer(f"hf:{_copy(binary, tmp_path / 'm', missing)}")


def test_pickled_weights_only_when_allowed(binary, tmp_path):
    folder = _copy(binary, tmp_path / "m", ("model.safetensors",))
    model = AutoModelForSequenceClassification.from_pretrained(binary)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ScorerUnavailable, match=r"only as a pickle.*allow_pickle=true"):
        load_scorer(f"hf:{folder}")
    allowed = load_scorer(f"hf:{folder}", allow_pickle="true")
    (expected,) = load_scorer(f"hf:{binary}").score(["you fool"], "en")
    assert allowed.score(["you fool"], "en")[0].value == pytest.approx(expected.value, abs=1e-6)


def _sharded(binary: Path, to: Path) -> Path:
    model = AutoModelForSequenceClassification.from_pretrained(binary)
    folder = _copy(binary, to, ("model.safetensors",))
    model.save_pretrained(folder, max_shard_size="10KB")
    return folder


def test_the_weights_hashed_are_those_that_are_loaded(binary, tmp_path):
    folder = _copy(binary, tmp_path / binary.name)
    (folder / "model-old.safetensors").write_bytes(b"stray")
    assert weight_files(folder, "hf:x", False) == [folder / "model.safetensors"]
    assert load_scorer(f"hf:{folder}").id == load_scorer(f"hf:{binary}").id
    _edit_json(folder / "config.json", transformers_weights="model-old.safetensors")
    assert weight_files(folder, "hf:x", False) == [folder / "model-old.safetensors"]


def test_shards_are_those_of_the_index(binary, tmp_path):
    folder = _sharded(binary, tmp_path / binary.name)
    shards = sorted(folder.glob("model-0*.safetensors"))
    (folder / "model-old.safetensors").write_bytes(b"stray")
    assert len(shards) > 1
    assert weight_files(folder, "hf:x", False) == shards
    scores = [load_scorer(f"hf:{f}").score(["aa"], "en")[0].value for f in (folder, binary)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    shards[0].unlink()
    with pytest.raises(ScorerUnavailable, match=f"1 are not there \\({shards[0].name}\\)"):
        load_scorer(f"hf:{folder}")
    for damaged in ("", "[]", '{"weight_map": {"a": 1}}'):
        (folder / "model.safetensors.index.json").write_text(damaged)
        with pytest.raises(ScorerUnavailable, match="names no shards"):
            load_scorer(f"hf:{folder}")


def test_a_model_without_a_trained_head_is_refused(tmp_path):
    model = tiny_model(("neutral", "toxic"))
    model.roberta.save_pretrained(tmp_path)  # the encoder alone
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ScorerUnavailable, match=r"no trained sequence classifier.*classifier\."):
        load_scorer(f"hf:{tmp_path}", toxic_label=1)


def test_a_damaged_file_of_weights_is_one_sentence(binary, tmp_path):
    folder = _copy(binary, tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ScorerUnavailable, match="cannot be loaded from"):
        load_scorer(f"hf:{folder}")


def test_code_of_a_model_is_never_run(binary, tmp_path):
    folder = _copy(binary, tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "mystery",
        "auto_map": {"AutoModelForSequenceClassification": "mine.Model", "AutoConfig": "mine.C"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    witness = tmp_path / "it_ran"
    (folder / "mine.py").write_text(f"open({str(witness)!r}, 'w')")
    with pytest.raises(ScorerUnavailable, match="cannot be loaded"):
        load_scorer(f"hf:{folder}")
    assert not witness.exists()


def test_an_unnamed_pair_lists_its_labels(tmp_path):
    folder = save_classifier(tmp_path / "m", ("LABEL_0", "LABEL_1"))
    with pytest.raises(ScorerUnavailable, match="Its labels: LABEL_0, LABEL_1"):
        load_scorer(f"hf:{folder}")
    assert load_scorer(f"hf:{folder}", toxic_label=1).settings["toxic_label"] == "LABEL_1"


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there(binary, device):
    with pytest.raises(ScorerUnavailable, match=f"Device '{device}' cannot be used here"):
        load_scorer(f"hf:{binary}", device=device)


def test_a_folder_has_no_revision(binary):
    with pytest.raises(ScorerUnavailable, match="it has no revision 'main'"):
        load_scorer(f"hf:{binary}", revision="main")


# Repositories


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path


def test_a_repository_in_the_cache_is_recorded_with_its_commit(hub):
    commit = save_in_hub_cache(hub, "someone/model", ("neutral", "toxic"))
    scorer = load_scorer("hf:someone/model")
    assert scorer.id.startswith(f"hf:someone/model@{commit}#")
    assert scorer.languages == frozenset()
    assert load_scorer("hf:someone/model", revision=commit).id == scorer.id


def test_a_repository_that_cannot_be_had_is_one_sentence(hub):
    with pytest.raises(ScorerUnavailable, match=r"hf:someone/else is neither a folder here nor"):
        load_scorer("hf:someone/else")


def test_a_revision_that_is_not_in_the_cache(hub):
    save_in_hub_cache(hub, "someone/model", ("neutral", "toxic"))
    with pytest.raises(ScorerUnavailable, match="the Hub did not give it"):
        load_scorer("hf:someone/model", revision="v2")
