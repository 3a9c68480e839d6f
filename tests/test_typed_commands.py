"""Recorded command lines: as typed, and without secrets."""

import shlex
import subprocess
import sys

import pytest

from detox_bench.typed_commands import typed_command, without_secrets


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["python", "/x/bin/detox-bench", "eval", "--subset", "odd"],
            "detox-bench eval --subset odd",
        ),
        (["python", "-u", "-m", "detox_bench", "score", "a b"], "detox-bench score 'a b'"),
        (["python", "/x/bin/lm_eval", "--tasks", "t"], "lm_eval --tasks t"),
        (["python", "-c", "print(1)"], "python"),
        (["python"], "python"),
        (["python", "-X", "dev", "-mdetox_bench", "eval"], "detox-bench eval"),
        (["python", "/x/detox_bench/__main__.py", "eval"], "detox-bench eval"),
    ],
)
def test_the_program_is_called_by_its_name(words, expected):
    assert shlex.join(typed_command(words)) == expected


def test_what_is_done_to_argv_does_not_show():
    code = "import sys; sys.argv[:] = ['x']; from detox_bench import typed_commands as t; "
    code += "print(t.typed_command())"
    module = f"exec({code!r})"
    done = subprocess.run(
        [sys.executable, "-c", module], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['python']"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model_args", "pretrained=x,token=abc123"], "--model_args 'pretrained=x,token=…'"),
        (["--api_key", "my abc123 phrase"], "--api_key …"),
        (["--api_key=abc123"], "'--api_key=…'"),
        (["--header_auth", "abc123"], "--header_auth …"),
        (["-o", "api-key=abc123"], "-o 'api-key=…'"),
        (["hf_abc123abc123"], "…"),
        (["x", "sk-proj-abc123abc123"], "x …"),
        (["ghp_abc123abc123abc123"], "…"),
        (["https://me:abc123@host/x"], "https://…@host/x"),
        (["Authorization: Bearer abc123"], "'Authorization: …'"),
        (["Authorization:", "Bearer", "abc123"], "Authorization: Bearer …"),
        (["x-api-key: abc 123", "y"], "'x-api-key: …' y"),
        (["say Bearer abc123"], "'say Bearer …'"),
        (['{"token": "abc 123", "b": 1}'], """'{"token": "…", "b": 1}'"""),
        (["sh", "-c", 'run "token=abc123" x'], """sh -c 'run "token=…" x'"""),
        (["token=abc,123,b=c"], "token=…,b=c"),
        (["password=my abc 123"], "'password=…'"),
        (["accessToken=abc123"], "accessToken=…"),
        (["--password", "-abc123"], "--password …"),
        (["https://me:a@123@host/x"], "https://…@host/x"),
    ],
)
def test_secrets_are_hidden_whole(words, expected):
    shown = without_secrets(words)
    assert "123" not in shown
    assert shlex.split(shown) == shlex.split(expected)


@pytest.mark.parametrize(
    "words",
    [
        ["--title", "the monkey data"],
        ["--model_args", "pretrained=hf_model/x,add_bos_token=True,max_tokens=3"],
        ["--tokenizer", "keyboard"],
        ["--tokens", "20"],
        ["--gen_kwargs", "pad_token_id=0,top_p=0.8", "--add_bos_token=True"],
    ],
)
def test_other_words_are_kept(words):
    assert shlex.split(without_secrets(words)) == words
