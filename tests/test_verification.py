"""Whether two models are the same, and the proof that an edit acts on every decoded token."""

import math
from dataclasses import replace

import pytest
import torch
from architecture_models import tiny
from conftest import byte_tokenizer, tiny_gpt2

from detox_bench.errors import BadData, BadIntervention, DetoxBenchError
from detox_bench.modeling.architectures import down_projections
from detox_bench.neurons.edit.editing import base_model_of
from detox_bench.neurons.edit.interventions import intervention
from detox_bench.neurons.fold.proof import (
    Decoded,
    EditProof,
    Reference,
    greedy_tokens,
    logits_over,
    reference,
)
from detox_bench.neurons.fold.proof_prompts import proof_texts, proof_tokens
from detox_bench.neurons.fold.verification import (
    VerificationSettings,
    agreement,
    tolerance_for,
    verify,
)
from detox_bench.types import NeuronId

PROMPTS = [(5, 6, 7, 8), (9, 10)]
EDITS = [(NeuronId(0, 3), 0.75), (NeuronId(1, 5), 0.9)]
TEXTS = ("prompt 0 en", "prompt 1 de")


def made(model, operator="set", positions="all"):
    return intervention(base_model_of(model, "tiny"), operator, EDITS, positions)


def saved(model, folder):
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return saved(tiny_gpt2(), tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "opt", "gemma3"])
@pytest.mark.parametrize("positions", ["all", "generated"])
def test_the_edit_is_seen_at_every_step_in_every_layer(kind, positions):
    """Two prompts of 6 new tokens: 12 steps, in 2 edited layers."""
    model = tiny(kind)
    found = reference(model, PROMPTS, made(model, "add", positions), 6)
    proof = found.proof
    assert (proof.steps, proof.layers, proof.seen, proof.moved) == (12, 2, 24, 12)
    assert proof.effect > 1e-3
    assert not any(each._forward_pre_hooks for each in model.modules())


def test_an_edit_that_does_not_reach_the_projection_is_not_proven():
    """A hook behind the edit's puts the old activations back: the projection never sees it."""
    model = tiny("gpt2")
    unedited = {}
    projection = down_projections(model)[1]
    first = projection.register_forward_pre_hook(lambda _, args: unedited.update(a=args[0].clone()))
    edit = made(model)
    from detox_bench.neurons.fold import proof

    def undone(model, edit, *seen):
        from contextlib import ExitStack, contextmanager

        from detox_bench.neurons.edit.editing import edited

        @contextmanager
        def both():
            with edited(model, edit, *seen), ExitStack() as hooks:
                hook = projection.register_forward_pre_hook(lambda _, args: (unedited["a"],))
                hooks.callback(hook.remove)
                yield model

        return both()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "edited", undone)
        found = reference(model, PROMPTS, edit, 6)
    first.remove()
    assert found.proof.seen == 12, "layer 0 only"
    assert not found.proof.complete
    same = agreement(found, model, torch.float32, asked=1e9)
    assert "seen in 12 of 24" in same.failure()


def test_an_edit_that_does_nothing_moves_nothing():
    model = tiny("gpt2")
    one = intervention(base_model_of(model, "tiny"), "scale", [(NeuronId(0, 3), 1.0)])
    found = reference(model, PROMPTS, one, 4)
    assert (found.proof.moved, found.proof.effect) == (0, 0.0)
    assert agreement(found, model, torch.float32).blind


def test_greedy_over_a_cache_is_the_largest_logit_of_the_whole_text():
    model = tiny_gpt2()
    tokens = greedy_tokens(model, PROMPTS[0], 5)
    logits = logits_over(model, PROMPTS[0], tokens)
    assert logits.shape == (9, 257)
    assert tuple(logits[3:8].argmax(-1).tolist()) == tokens


def test_a_model_is_itself_and_no_other(folder, tmp_path):
    same = verify(VerificationSettings(folder, folder, TEXTS, new_tokens=5))
    assert same.failure() is None
    assert (same.difference, same.same_texts, same.prompts, same.proof) == (0.0, 2, 2, None)
    assert same.positions == sum(len(text) + 5 for text in TEXTS)
    other = saved(tiny_gpt2(seed=1), tmp_path / "other")
    found = verify(VerificationSettings(folder, other, TEXTS, new_tokens=5))
    assert "logits differ by up to" in found.failure()
    assert found.as_json()["failure"] == found.failure()


def test_two_coarse_checkpoints_are_held_to_float32_and_a_coarser_copy_is_not(folder, tmp_path):
    """bfloat16 excuses no difference between two that are both stored in it."""
    coarse = saved(tiny_gpt2().to(torch.bfloat16), tmp_path / "coarse")
    copy = verify(VerificationSettings(folder, coarse, TEXTS, new_tokens=5))
    assert copy.failure() is None
    assert 1e-4 < copy.difference <= copy.tolerance.value
    model = tiny_gpt2().to(torch.bfloat16)
    with torch.no_grad():
        model.transformer.h[1].mlp.c_proj.weight[5, 3] += 2e-2
    other = saved(model, tmp_path / "other")
    found = verify(VerificationSettings(coarse, other, TEXTS, new_tokens=5))
    assert found.difference < copy.tolerance.value
    assert "allowed" in found.failure()


def test_one_changed_weight_is_noticed(folder, tmp_path):
    model = tiny_gpt2()
    with torch.no_grad():
        model.transformer.h[1].mlp.c_proj.weight[5, 3] += 1e-2
    other = saved(model, tmp_path / "other")
    assert "allowed" in verify(VerificationSettings(folder, other, TEXTS, new_tokens=5)).failure()
    allowed = VerificationSettings(folder, other, TEXTS, tolerance=100.0, new_tokens=5)
    assert verify(allowed).difference > 1e-4


def test_an_edited_model_is_not_the_one_before(folder):
    edit = made(tiny_gpt2())
    found = verify(VerificationSettings(folder, folder, TEXTS, edit, new_tokens=5))
    assert "logits differ" in found.failure()
    assert found.difference == pytest.approx(found.proof.effect)


def test_another_vocabulary_and_another_model_are_sentences(folder, tmp_path):
    other = saved(tiny("gpt2", vocab_size=300), tmp_path / "other")
    with pytest.raises(DetoxBenchError, match="vocabularies of 257 and 300"):
        verify(VerificationSettings(folder, other, TEXTS, new_tokens=2))
    edit = made(tiny_gpt2(seed=1))
    with pytest.raises(BadIntervention, match="made for another model"):
        verify(VerificationSettings(folder, folder, TEXTS, edit, new_tokens=2))
    forced = VerificationSettings(folder, folder, TEXTS, edit, force=True, new_tokens=2)
    assert verify(forced).proof.complete
    with pytest.raises(DetoxBenchError, match="cannot be loaded"):
        verify(VerificationSettings(folder, str(tmp_path), TEXTS, new_tokens=2))


def of(largest, effect=None):
    proof = None if effect is None else EditProof(1, 1, 1, 1, effect)
    return Reference((Decoded((0,), (1,), torch.tensor([[largest, 0.0]])),), proof)


@pytest.mark.parametrize(
    ("dtype", "largest", "effect", "wanted", "said"),
    [
        (torch.float32, 0.5, None, 1e-5, "float32"),
        (torch.float32, 40.0, 1e-9, 4e-4, "largest logit 40"),
        (torch.bfloat16, 40.0, None, 4 * 2**-7 * 40, "4 × its epsilon"),
        (torch.bfloat16, 40.0, 100.0, 2 * 2**-7 * 40, "bfloat16"),
        (torch.bfloat16, 40.0, 1.0, 0.1, "10% of what the edit moves"),
        (torch.bfloat16, 40.0, 1e-6, 4e-4, "10% of what the edit moves"),
        (torch.float16, 8.0, None, 4 * 2**-10 * 8, "float16"),
    ],
)
def test_the_tolerance_and_its_reason(dtype, largest, effect, wanted, said):
    """1e-5 of the largest logit; epsilons of a coarser type, at most a tenth of the effect."""
    found = tolerance_for(dtype, of(largest, effect))
    assert found.value == pytest.approx(wanted)
    assert said in found.reason
    assert tolerance_for(dtype, of(largest), asked=0.25).value == 0.25


def test_logits_that_are_no_numbers_fail(folder):
    found = reference(tiny_gpt2(), PROMPTS, None, 3)
    model = tiny_gpt2()
    with torch.no_grad():
        model.transformer.h[1].mlp.c_proj.bias[3] = math.nan
    with pytest.raises(DetoxBenchError, match="not finite"):
        agreement(found, model, torch.float32)
    same = agreement(found, tiny_gpt2(), torch.float32)
    assert same.failure() is None
    assert "logits differ by up to nan" in replace(same, difference=math.nan).failure()


def test_a_text_may_part_only_where_two_tokens_are_near_equal():
    """The second model's head prefers another token by 0.001, and 0.01 is allowed."""
    model = tiny_gpt2()
    (first,) = reference(model, PROMPTS[:1], None, 3).decoded
    best, second = first.logits[3].topk(2).indices.tolist()
    near = first.logits.clone()
    near[3, second] = near[3, best] - 1e-3
    moved = Reference((Decoded(first.prompt, first.tokens, near),), None)
    shifted = _Shifted(model, second, float(near[3, best] - first.logits[3, second]) + 1e-3)
    loose = agreement(moved, shifted, torch.float32, asked=100.0)
    assert (loose.same_texts, loose.ties, loose.failure()) == (0, 1, None)
    strict = agreement(Reference((first,), None), shifted, torch.float32, asked=1e-4)
    assert (strict.same_texts, strict.ties) == (0, 0)


class _Shifted:
    """A model with a constant added to the logit of one token."""

    def __init__(self, model, token, by):
        self.model, self.token, self.by = model, token, by
        self.device, self.forward = model.device, model.forward

    def __call__(self, **inputs):
        found = self.model(**inputs)
        found.logits[..., self.token] += self.by
        return found


def test_prompts_are_of_languages_far_apart(tmp_path):
    texts = proof_texts("sample", 8)
    assert len(set(texts)) == 8
    assert len(set(proof_texts("sample", 40))) == 40
    lines = tmp_path / "prompts.txt"
    lines.write_text("prompt 0\n\nprompt 1\nprompt 2\n")
    assert proof_texts(str(lines), 2) == ["prompt 0", "prompt 1"]
    rows = tmp_path / "prompts.jsonl"
    rows.write_text('{"text": "prompt 0"}\n{"text": "prompt 1"}\n')
    assert proof_texts(str(rows), 8) == ["prompt 0", "prompt 1"]


@pytest.mark.parametrize("content", ["", '{"id": 1}\n', "[1]\n", "no json\n", '{"text": 3}\n'])
def test_a_file_without_prompts_is_one_sentence(content, tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text(content)
    with pytest.raises(BadData, match="gives no prompts"):
        proof_texts(str(file), 8)
    with pytest.raises(BadData, match="gives no prompts"):
        proof_texts(str(tmp_path / "missing"), 8)
    with pytest.raises(BadData, match="at least one"):
        proof_texts("sample", 0)


def test_prompts_leave_room_for_what_follows():
    """A window of 128, 20 new tokens: the last 108 of a long prompt."""
    (long, short) = proof_tokens(tiny_gpt2(), byte_tokenizer(), ["a" * 300, "abc"], 20)
    assert (len(long), len(short)) == (108, 3)
