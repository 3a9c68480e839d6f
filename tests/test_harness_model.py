"""``detox-hf`` inside lm-eval: the same texts however it is run, and none made twice."""

import json
from pathlib import Path

import pytest
import torch
from conftest import detox_hf, tiny_gpt2
from lm_eval.models.huggingface import HFLM
from test_harness_requests import PAPER, request

from detox_bench.errors import BadRunFolder, DetoxBenchError
from detox_bench.harness import model as model_module
from detox_bench.harness.model import DetoxHFLM
from detox_bench.modeling.sampling import Sampler
from detox_bench.runs import RunFolder, read_generations

SHORT = {**PAPER, "max_gen_toks": 6}


def repeated(*prompts: int, kwargs: dict = SHORT) -> list:
    """Return each request three times, as lm-eval hands them over."""
    return [each for prompt in prompts for each in [request(prompt, kwargs)] * 3]


@pytest.fixture(scope="module")
def plain(gpt2_folder) -> DetoxHFLM:
    return detox_hf(gpt2_folder, batch_size=16)


@pytest.fixture(scope="module")
def texts(plain) -> list[str]:
    return plain.generate_until(repeated(0, 1, 2, 3), disable_tqdm=True)


def test_a_text_a_request_in_their_order(texts):
    assert len(texts) == 12 and len(set(texts)) == 12
    assert all(texts)


@pytest.mark.parametrize("batch_size", [1, "4", "auto"])
def test_the_batch_size_changes_no_text(gpt2_folder, texts, batch_size):
    model = detox_hf(gpt2_folder, batch_size=batch_size)
    assert model.generate_until(repeated(0, 1, 2, 3), disable_tqdm=True) == texts


def test_a_limit_and_another_order_change_no_text(plain, texts):
    assert plain.generate_until(repeated(2), disable_tqdm=True) == texts[6:9]
    assert plain.generate_until(repeated(3, 0), disable_tqdm=True) == texts[9:] + texts[:3]


def test_a_llama_too(llama_folder):
    found = [
        detox_hf(llama_folder, batch_size=size).generate_until(repeated(0, 1), disable_tqdm=True)
        for size in (1, 6)
    ]
    assert found[0] == found[1] and len(set(found[0])) == 6


def test_another_seed_gives_other_texts(gpt2_folder, texts):
    other = detox_hf(gpt2_folder, seed="1")
    assert not set(other.generate_until(repeated(0, 1), disable_tqdm=True)) & set(texts)


def test_requests_padded_for_other_processes_get_the_texts_again(plain, texts):
    one = request(3, SHORT)
    assert plain.generate_until([one] * 6, disable_tqdm=True) == texts[9:] * 2


def test_until_cuts_the_text_and_is_not_part_of_it(plain, texts):
    stop = texts[0][2]
    found = plain.generate_until(repeated(0, kwargs={**SHORT, "until": [stop]}), disable_tqdm=True)
    assert found == [text.split(stop)[0] for text in texts[:3]]


def test_arguments_are_not_mixed_up(plain, texts):
    longer = {**SHORT, "max_gen_toks": 9}
    asked = [*repeated(0), *repeated(1, kwargs=longer), *repeated(2)]
    found = plain.generate_until(asked, disable_tqdm=True)
    assert found[:3] + found[6:] == texts[:3] + texts[6:9]
    alone = plain.generate_until(repeated(1, kwargs=longer), disable_tqdm=True)
    assert found[3:6] == alone


def test_greedy_requests_are_lm_eval_s_own(gpt2_folder, plain):
    kwargs = {"until": ["\n"], "do_sample": False, "max_gen_toks": 6}
    stock = HFLM(str(gpt2_folder), device="cpu", dtype="float32", batch_size=2)
    asked = [request(n, kwargs) for n in range(3)]
    found = plain.generate_until(asked, disable_tqdm=True)
    assert found == stock.generate_until(asked, disable_tqdm=True)


def test_everything_but_generation_is_lm_eval_s_own(gpt2_folder, plain):
    stock = HFLM(str(gpt2_folder), device="cpu", dtype="float32", batch_size=2)
    asked = [request(0)]
    asked[0].arguments = ("prompt 0", " en")
    found, expected = (each.loglikelihood(asked, disable_tqdm=True)[0] for each in (plain, stock))
    assert found[0] == pytest.approx(expected[0], abs=1e-4) and found[1] == expected[1]


def test_an_empty_prompt_begins_with_the_end_token(plain):
    asked = request(0, SHORT)
    asked.arguments = ("", SHORT)
    assert len(plain.generate_until([asked] * 3, disable_tqdm=True)) == 3


def test_a_long_prompt_is_cut_on_the_left(plain):
    long, end = request(0, SHORT), request(0, SHORT)
    text = "".join(chr(97 + n % 26) for n in range(500))
    long.arguments, end.arguments = (text, SHORT), (text[-122:], SHORT)  # a window of 128, 6 new
    found = [plain.generate_until([each] * 3, disable_tqdm=True) for each in (long, end)]
    assert found[0] == found[1]


def test_more_new_tokens_than_the_window_is_one_sentence(plain):
    asked = request(0, {**SHORT, "max_gen_toks": 128})
    with pytest.raises(DetoxBenchError, match="128 new tokens do not fit a window of 128"):
        plain.generate_until([asked], disable_tqdm=True)


def counted(monkeypatch) -> list[int]:
    """Return the list that the sizes of batches written from now on are put in."""
    written: list[int] = []
    add = RunFolder.add

    def count(self, generations):
        generations = list(generations)
        add(self, generations)
        written.append(len(generations))

    monkeypatch.setattr(RunFolder, "add", count)
    return written


def test_what_is_in_the_run_folder_is_not_made_again(gpt2_folder, texts, tmp_path, monkeypatch):
    written = counted(monkeypatch)
    first = detox_hf(gpt2_folder, run_folder=str(tmp_path / "run"))
    assert first.generate_until(repeated(0, 1), disable_tqdm=True) == texts[:6]
    second = detox_hf(gpt2_folder, run_folder=str(tmp_path / "run"), batch_size=4)
    assert second.generate_until(repeated(0, 1, 2, 3), disable_tqdm=True) == texts
    assert written == [6, 3, 3]
    assert second.generate_until(repeated(3, 1), disable_tqdm=True) == texts[9:] + texts[3:6]
    assert len(written) == 3
    stored = {
        (each.prompt_id, each.sample): each.text for each in read_generations(tmp_path / "run")
    }
    assert [stored[f"rtplx/en/{n}", s] for n in range(4) for s in range(3)] == texts


@pytest.mark.parametrize("batch_size", [2, 5])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_texts(
    gpt2_folder, texts, tmp_path, monkeypatch, batch_size
):
    add, calls = RunFolder.add, []

    def interrupted(self, generations):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        add(self, generations)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "add", interrupted)
        broken = detox_hf(gpt2_folder, run_folder=str(tmp_path), batch_size=batch_size)
        with pytest.raises(KeyboardInterrupt):
            broken.generate_until(repeated(0, 1, 2, 3), disable_tqdm=True)
    kept = len(list(read_generations(tmp_path)))
    assert 0 < kept < 12
    written = counted(monkeypatch)
    resumed = detox_hf(gpt2_folder, run_folder=str(tmp_path), batch_size=3)
    assert resumed.generate_until(repeated(0, 1, 2, 3), disable_tqdm=True) == texts
    assert sum(written) == 12 - kept


def test_a_changed_prompt_is_asked_anew(gpt2_folder, tmp_path):
    model = detox_hf(gpt2_folder, run_folder=str(tmp_path))
    before = model.generate_until(repeated(0), disable_tqdm=True)
    changed = request(0, SHORT)
    changed.arguments = ("another text", SHORT)
    assert model.generate_until([changed] * 3, disable_tqdm=True) != before
    assert model.generate_until(repeated(0), disable_tqdm=True) == before
    assert len(list(read_generations(tmp_path))) == 6


def test_another_model_or_seed_is_another_run(gpt2_folder, llama_folder, tmp_path):
    detox_hf(gpt2_folder, run_folder=str(tmp_path)).generate_until(repeated(0), disable_tqdm=True)
    with pytest.raises(BadRunFolder, match="seed is 0, now 1"):
        other = detox_hf(gpt2_folder, run_folder=str(tmp_path), seed=1)
        other.generate_until(repeated(0), disable_tqdm=True)
    with pytest.raises(BadRunFolder, match="weights_sha256 is"):
        other = detox_hf(llama_folder, run_folder=str(tmp_path))
        other.generate_until(repeated(0), disable_tqdm=True)
    with pytest.raises(BadRunFolder, match="dtype is 'float32', now 'bfloat16'"):
        other = detox_hf(gpt2_folder, run_folder=str(tmp_path), dtype="bfloat16")
        other.generate_until(repeated(0), disable_tqdm=True)


def test_an_edited_model_is_another_run(plain, gpt2_folder):
    edited = DetoxHFLM(tiny_gpt2(), tokenizer=plain.tokenizer)
    before = plain.get_model_info()
    assert edited.get_model_info()["weights_sha256"] == before["weights_sha256"]
    with torch.no_grad():
        edited.model.transformer.h[0].mlp.c_proj.bias += 0.5
    edited = DetoxHFLM(edited.model, tokenizer=plain.tokenizer)
    assert edited.get_model_info()["weights_sha256"] != before["weights_sha256"]


def test_the_results_say_what_the_texts_depend_on(plain):
    info = plain.get_model_info()
    assert info["engine"] == model_module.ENGINE and info["seed"] == 0
    assert info["dtype"] == "float32" and len(info["weights_sha256"]) == 64
    assert info["model_num_parameters"] == 12_752
    json.dumps({name: info[name] for name in ("engine", "seed", "weights_sha256", "max_length")})


def test_out_of_memory_halves_the_batch_and_loses_nothing(gpt2_folder, texts, monkeypatch, caplog):
    sizes: list[int] = []
    sample = Sampler.sample

    def scarce(self, requests):
        sizes.append(self.batch_size)
        for number, batch in enumerate(sample(self, requests)):
            if self.batch_size > 3 and number == 1:
                raise torch.OutOfMemoryError("no more")
            yield batch

    monkeypatch.setattr(Sampler, "sample", scarce)
    model = detox_hf(gpt2_folder, batch_size=4)
    assert model.generate_until(repeated(0, 1, 2, 3), disable_tqdm=True) == texts
    assert sizes == [4, 2]
    assert "going on with batch size 2" in caplog.text


def test_out_of_memory_with_one_text_is_raised(gpt2_folder, monkeypatch):
    def full(self, requests):
        raise torch.OutOfMemoryError("no more")
        yield

    monkeypatch.setattr(Sampler, "sample", full)
    with pytest.raises(torch.OutOfMemoryError):
        detox_hf(gpt2_folder, batch_size=2).generate_until(repeated(0), disable_tqdm=True)


def test_an_adapter_is_sampled_and_named(gpt2_folder, texts, tmp_path):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(
        r=2, target_modules=["c_attn"], init_lora_weights=False, fan_in_fan_out=True
    )
    torch.manual_seed(1)
    peft.get_peft_model(tiny_gpt2(), config).save_pretrained(tmp_path)
    model = detox_hf(gpt2_folder, peft=str(tmp_path), batch_size=5)
    adapted = model.generate_until(repeated(0, 1, 2, 3), disable_tqdm=True)
    assert adapted != texts and len(set(adapted)) == 12
    assert (
        model.get_model_info()["weights_sha256"]
        != detox_hf(gpt2_folder)._identity["weights_sha256"]
    )


def test_bfloat16_gives_texts_too(gpt2_folder):
    model = detox_hf(gpt2_folder, dtype="bfloat16")
    assert len(set(model.generate_until(repeated(0, 1), disable_tqdm=True))) == 6
    assert model.get_model_info()["dtype"] == "bfloat16"


def test_a_model_without_a_pad_token_needs_none(plain):
    assert plain.tokenizer.pad_token_id is not None  # lm-eval takes the end token for it
    assert plain._stop_tokens == {256}


def test_a_run_folder_that_cannot_be_written_is_one_sentence(gpt2_folder, tmp_path):
    (tmp_path / "file").touch()
    model = detox_hf(gpt2_folder, run_folder=str(Path(tmp_path) / "file" / "run"))
    with pytest.raises(BadRunFolder, match="Cannot write to"):
        model.generate_until(repeated(0), disable_tqdm=True)


def test_a_real_model_gives_the_same_texts_in_any_batch(shared):
    folder = shared / "models" / "mini-mgpt"
    if not folder.is_dir():
        pytest.skip("needs models/mini-mgpt in the data folder")
    kwargs = {**SHORT, "max_gen_toks": 12}
    asked = [each for n in range(3) for each in [request(n, kwargs, repeats=6)] * 6]
    found = [
        detox_hf(folder, batch_size=size).generate_until(asked, disable_tqdm=True)
        for size in (1, 5, 18)
    ]
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) > 12
