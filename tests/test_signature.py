"""The signature: every field that changes a number is in it."""

import json
from dataclasses import fields, replace

import pytest

from detox_bench.signature import Signature

SIGNATURE = Signature(
    prompts="rtplx-v0.3-odd",
    prompts_sha256="0f" * 6,
    language="ar",
    n_prompts=1051,
    samples=25,
    new_tokens=20,
    temperature=0.9,
    top_p=0.8,
    top_k=0,
    generation="12345678",
    form="raw",
    scorer="ngram@1#abc",
    threshold=0.5,
    version="0.1.0",
)


def test_as_text_in_the_manner_of_sacrebleu_version_last():
    assert str(SIGNATURE) == (
        "prompts:rtplx-v0.3-odd|sha:0f0f0f0f0f0f|lang:ar|n:1051|k:25|tok:20|T:0.9|p:0.8|K:0|"
        "gen:12345678|form:raw|scorer:ngram@1#abc|thr:0.5|v:0.1.0"
    )


@pytest.mark.parametrize("field", [each.name for each in fields(Signature)])
def test_every_field_shows(field):
    assert str(replace(SIGNATURE, **{field: "other"})) != str(SIGNATURE)


def test_as_json_there_and_back():
    assert Signature(**json.loads(json.dumps(SIGNATURE.as_json()))) == SIGNATURE
