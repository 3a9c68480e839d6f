"""Promoted tokens and their scripts and languages, on a vocabulary of words made here."""

import math

import pytest
import torch
from architecture_models import tiny
from conftest import byte_tokenizer, tiny_gpt2, tiny_llama

from detox_bench.errors import DetoxBenchError
from detox_bench.modeling.architectures import (
    ARCHITECTURES,
    causal_model,
    down_projections,
    final_norm,
    value_vectors,
)
from detox_bench.modeling.loading import LoadedModel
from detox_bench.neurons.edit.editing import base_model_of
from detox_bench.neurons.find.choosing import NeuronChoice
from detox_bench.neurons.find.token_counts import (
    CountSettings,
    count_tokens,
    effective_number,
    promoted_json,
    spread,
)
from detox_bench.neurons.find.tokens import Promoted, Token, promoted_tokens
from detox_bench.types import NeuronId

WORDS = ["cloud", "weather", "облако", "погода", "云", "天气", "سحابة", "123", "…", "<end>"]
SCRIPTS = ["LATIN"] * 2 + ["CYRILLIC"] * 2 + ["CJK"] * 2 + ["ARABIC"] + [None] * 3


def word_tokenizer():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(WORDS)}
    made = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<end>"))
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>")


def model_of_words():
    """Return a GPT-2 of 16 channels; row n of its head is channel n, for 12 rows and 10 words."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=12, n_embd=16, n_layer=2, n_head=2, n_positions=32, tie_word_embeddings=False,
        bos_token_id=9, eos_token_id=9,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        model.lm_head.weight.copy_(torch.eye(12, 16))
    return model


def promoting(*weights):
    """Return a loaded model whose neuron 1:3 writes ``weights`` to the first channels."""
    model = model_of_words()
    with torch.no_grad():
        down_projections(model)[1].weight[3].zero_()
        down_projections(model)[1].weight[3, : len(weights)] = torch.tensor(weights)
    return LoadedModel("words", model, word_tokenizer())


def texts(loaded, top, **options):
    (found,) = promoted_tokens(loaded, [NeuronId(1, 3)], top, **options)
    assert found.neuron == (1, 3)
    return [each.text for each in found.tokens]


def test_tokens_are_those_whose_rows_are_most_like_the_vector():
    loaded = promoting(0.1, 0.9, -2.0, 0.4, 0.5)
    assert texts(loaded, 3) == ["weather", "云", "погода"]


def test_rows_of_the_head_without_a_token_are_none():
    """The vector is highest in rows 10 and 11, which the tokenizer does not have."""
    loaded = promoting(*[0.0] * 6, 1.0, 0.0, 0.0, 0.0, 7.0, 8.0)
    assert texts(loaded, 1) == ["سحابة"]
    assert len(texts(loaded, 30)) == len(WORDS)


def test_the_scale_of_the_final_norm_changes_the_order_only_where_asked():
    loaded = promoting(1.0, 0.9)
    with torch.no_grad():
        final_norm(loaded.model).weight[1] = 2.0
        final_norm(loaded.model).bias[2] = 100.0  # is no scale
    assert texts(loaded, 2) == ["cloud", "weather"]
    assert texts(loaded, 2, norm=True) == ["weather", "cloud"]


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_head_is_its_weight_times_the_vector_its_bias_left_out(model_type):
    model = tiny(model_type)
    head = causal_model(model).get_output_embeddings()
    with torch.no_grad():
        if head.bias is not None:
            head.bias.uniform_(-50, 50)
    neurons = [NeuronId(2, 1), NeuronId(0, 7)]
    found = promoted_tokens(LoadedModel("tiny", model, byte_tokenizer()), neurons, 5)
    tokenizer = byte_tokenizer()
    for neuron, each in zip(neurons, found, strict=True):
        vector = value_vectors(down_projections(model)[neuron.layer])[neuron.neuron]
        best = (head.weight.detach() @ vector).topk(5).indices.tolist()
        decoded = [tokenizer.decode([number]) for number in best]
        pieces = tokenizer.convert_ids_to_tokens(best)
        wanted = [p if "\ufffd" in d else d for d, p in zip(decoded, pieces, strict=True)]
        assert [token.text for token in each.tokens] == wanted


@pytest.mark.parametrize(("model_type", "plus"), [("llama", 0), ("gpt2", 0), ("gemma", 1)])
def test_the_scale_is_that_of_the_norm_however_it_keeps_it(model_type, plus):
    from detox_bench.neurons.find.tokens import _scale

    model = tiny(model_type)
    norm = final_norm(model)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        scale = _scale(norm, torch.zeros(1, 16))
    torch.testing.assert_close(scale, norm.weight.detach() + plus, atol=1e-4, rtol=1e-4)


def test_a_head_behind_another_projection_is_refused():
    model = tiny_llama()
    model.lm_head = torch.nn.Linear(8, 257, bias=False)
    with pytest.raises(DetoxBenchError, match="width 8 and the residual stream has 16"):
        promoted_tokens(LoadedModel("tiny", model, byte_tokenizer()), [NeuronId(0, 0)])


def test_scripts_are_those_of_letters_and_special_tokens_have_none():
    loaded = promoting(*[float(-n) for n in range(10)])
    (found,) = promoted_tokens(loaded, [NeuronId(1, 3)], 10)
    assert [each.text for each in found.tokens] == WORDS
    assert [each.script for each in found.tokens] == SCRIPTS
    languages = {each.text: each.language for each in found.tokens}
    assert languages["天气"] == "zh-Hans"
    assert languages["سحابة"] == "ar"
    assert languages["123"] is languages["<end>"] is None


def test_bytes_that_are_no_whole_character_are_shown_as_pieces():
    loaded = LoadedModel("tiny", tiny_gpt2(), byte_tokenizer())
    (found,) = promoted_tokens(loaded, [NeuronId(0, 0)], 257)
    assert len(found.tokens) == 257
    assert sum(each.whole for each in found.tokens) == 128 + 1  # ASCII and the end token
    for each in found.tokens:
        assert each.whole or (each.script is None and each.language is None)
        assert "\ufffd" not in each.text
    assert dict(found.scripts) == {"LATIN": 52}  # the end token's letters are none


def test_the_effective_number():
    """Of shares 3/4 and 1/4 the entropy is .75 ln(4/3) + .25 ln 4 = .5623 nats; exp is 1.7548."""
    assert effective_number({"LATIN": 30}) == 1
    assert effective_number({"LATIN": 10, "CYRILLIC": 10, "CJK": 10}) == pytest.approx(3)
    assert effective_number({"LATIN": 3, "CJK": 1}) == pytest.approx(
        math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4))
    )
    assert effective_number({}) is None


def promoted(neuron, *scripts):
    tokens = tuple(Token("x", True, each, "zh-Hans" if each == "CJK" else None) for each in scripts)
    return Promoted(NeuronId(0, neuron), tokens)


def test_a_hand_worked_spread():
    """One neuron has 2 effective scripts, one 1, one none: the mean is over the first two."""
    found = spread(
        [promoted(0, "LATIN", "CJK"), promoted(1, "LATIN", "LATIN"), promoted(2, None, None)]
    )
    assert found.effective_scripts.estimate == pytest.approx(1.5)
    assert (found.n_neurons, found.n_tokens, found.undetermined) == (3, 6, 5)
    assert found.scripts == {"LATIN": 3, "CJK": 1}
    assert found.languages == {"zh-Hans": 1}
    assert math.isnan(spread([promoted(0, None)]).effective_scripts.estimate)
    assert spread([promoted(0, None)]).as_json()["effective_scripts"]["estimate"] is None


def test_tokens_are_in_the_json_only_where_they_are_to_be_shown():
    found = promoted(0, "LATIN", "CJK")
    assert "tokens" not in promoted_json(found, False)
    assert [each["script"] for each in promoted_json(found, True)["tokens"]] == ["LATIN", "CJK"]


def test_the_control_is_of_the_same_layers_and_the_seed_decides_it():
    model = model_of_words()
    loaded = LoadedModel("words", model, word_tokenizer())
    neurons = (NeuronId(1, 3), NeuronId(0, 5), NeuronId(1, 4))
    chosen = NeuronChoice(neurons, base_model_of(model, "words"), "by hand")
    found = [count_tokens(loaded, chosen, CountSettings(3, seed=seed)) for seed in (0, 0, 1)]
    others = [[each.neuron for each in some.control] for some in found]
    assert others[0] == others[1] != others[2]
    assert [each.layer for each in others[0]] == [1, 0, 1]
    assert not set(others[0]) & set(neurons)
    written = found[0].as_json()
    assert written["chosen"]["n_tokens"] == written["control"]["n_tokens"] == 9
