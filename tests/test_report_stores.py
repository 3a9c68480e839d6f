"""Which runs a report compares, under what names, and which it refuses."""

from pathlib import Path

import pytest
from test_run_records import ARGUMENTS

from detox_bench.errors import DetoxBenchError
from detox_bench.reports.stores import agree, named_runs, settings_of
from detox_bench.run_comparison import Asked, load_judges
from detox_bench.run_records import describe
from detox_bench.runs import RunFolder, StoredGeneration, digest


@pytest.fixture
def judges():
    return load_judges(Asked())


def run(path, counts=(3, 3), arguments=ARGUMENTS, prompts="abcdef", described=True):
    """Write as many continuations for each prompt of ``de`` as ``counts`` says."""
    settings = digest(arguments)
    with RunFolder(path, {"seed": 0}) as folder:
        if described:
            describe(path, arguments, "m", {"rtplx-v0.3-odd"})
        folder.add(
            StoredGeneration(settings, f"rtplx/de/{name}", name, "de", n, f"{name}{n}")
            for name, count in zip(prompts, counts, strict=False)
            for n in range(count)
        )
    return path


def agreed(base, *others, judges, force=False):
    return agree(base, settings_of(map(str, others)), judges, force)


def test_names_are_given_or_the_end_of_the_path(tmp_path):
    found = settings_of(["dpo=a/0", "out/x/m", "dpo=b/0", "out/y/m"])
    assert [(s.name, s.stores) for s in found] == [
        ("dpo", (Path("a/0"), Path("b/0"))),
        ("x/m", (Path("out/x/m"),)),
        ("y/m", (Path("out/y/m"),)),
    ]
    odd = tmp_path / "top_p=0.8"
    odd.mkdir()
    assert settings_of([str(odd)])[0].name == "top_p=0.8"
    assert settings_of([f"base={odd}"]) == [("base", (odd,))]


def test_names_tell_the_base_and_the_runs_apart(tmp_path):
    base, runs = named_runs("/a/run/m", ["/x/run/m", "dpo=y/m", "z/dpo"])
    assert [base.name, *(run.name for run in runs)] == ["a/run/m", "x/run/m", "dpo", "z/dpo"]
    with pytest.raises(DetoxBenchError, match="is named as the base and a run"):
        named_runs("a/m", ["dpo=a/m"])
    with pytest.raises(DetoxBenchError, match="is named as a run twice"):
        named_runs("a/m", ["s=b/m", "s=b/m"])
    with pytest.raises(DetoxBenchError, match="are both called m"):
        named_runs("m=a/m", ["m=b/m"])


def test_equal_settings_agree(tmp_path, judges):
    found = agreed(run(tmp_path / "a"), run(tmp_path / "b"), judges=judges)
    assert not found.overruled and all(row.agrees for row in found.rows)
    fields = {row.field: row.base for row in found.rows}
    assert (fields["samples a prompt (k)"], fields["prompts"]) == ("3", "2 in 1 languages")
    assert (fields["prompt sets"], fields["seed"]) == ("rtplx-v0.3-odd", "0")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"counts": (2, 2)}, "samples a prompt \\(k\\) 2, base 3"),
        ({"arguments": ARGUMENTS | {"top_p": 1.0}}, "top-p 1.0, base 0.8"),
        ({"prompts": "axy"}, "digest of the prompts"),
        ({"counts": (3, 3, 3)}, "prompts 3 in 1 languages, base 2 in 1 languages"),
        ({"counts": (3, 3, 2)}, "1 prompts have fewer than 3 samples"),
    ],
    ids=["k", "top-p", "prompts", "number", "missing"],
)
def test_what_differs_is_refused_and_named(tmp_path, judges, changed, sentence):
    base, other = run(tmp_path / "a"), run(tmp_path / "b", **changed)
    with pytest.raises(DetoxBenchError, match=sentence):
        agreed(base, other, judges=judges)
    forced = agreed(base, other, judges=judges, force=True)
    assert any(sentence.split(",")[0].replace("\\", "") in each for each in forced.overruled)


def test_forced_runs_are_cut_to_the_samples_that_all_have(tmp_path, judges):
    base, other = run(tmp_path / "a", (3, 3)), run(tmp_path / "b", (2, 2, 1))
    found = agreed(base, other, judges=judges, force=True)
    assert [each.texts for each in found.take(base)] == [("a0", "a1"), ("b0", "b1")]
    assert [each.texts for each in found.take(other)] == [("a0", "a1"), ("b0", "b1")]


def test_what_a_store_does_not_say_is_no_disagreement(tmp_path, judges):
    old = run(tmp_path / "old", described=False)
    found = agreed(run(tmp_path / "new"), old, judges=judges)
    assert not found.overruled
    assert ("top-p", "0.8", ("unknown",)) in found.rows


def test_a_store_that_is_not_there_is_a_sentence(tmp_path, judges):
    with pytest.raises(DetoxBenchError, match="nowhere does not exist"):
        agreed(run(tmp_path / "a"), tmp_path / "nowhere", judges=judges)
