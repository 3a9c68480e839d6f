"""From a run folder to a submission: what is written, and every refusal."""

import gzip
import json
from pathlib import Path

import pytest
from leaderboard_runs import everyday, make_run, small_suite, wish

from detox_bench.commands.leaderboard_add import _contamination
from detox_bench.errors import BadData, BadRunFolder, DetoxBenchError, MissingExtra, UnknownName
from detox_bench.leaderboard import encrypted_texts
from detox_bench.leaderboard.adding import Added, ModelTold, add, add_reference
from detox_bench.leaderboard.agreement import check_run, check_scored, generation_arguments
from detox_bench.leaderboard.board import Place, folder_of, read_on_board
from detox_bench.leaderboard.content import run_id, sha256
from detox_bench.leaderboard.freezing import list_prompts
from detox_bench.leaderboard.judging import load_track_scorer
from detox_bench.leaderboard.making import checked, put
from detox_bench.leaderboard.methods import Told
from detox_bench.leaderboard.references import RANDOM, REFERENCES, reference_samples
from detox_bench.leaderboard.reproduction import machine, reproduction, without_paths
from detox_bench.leaderboard.specification import load_specification
from detox_bench.leaderboard.submission import ModelCard, SampleLine, Submission
from detox_bench.run_records import RunRecord
from detox_bench.runs import digest, write_json
from detox_bench.stored_texts import PromptSamples, read_samples

SUITE = small_suite()
BASE, AFTER = "a" * 64, "b" * 64
DPO_RECIPE = {"recipe": "modern", "model": "/home/somebody/base", "curves": [1], "loss": 0.1}


@pytest.fixture(scope="module")
def board(tmp_path_factory, gpt2_folder) -> tuple[Path, Added, Added, Path]:
    """Return a board with a base and its DPO, both of them, and the folder of runs."""
    folder = tmp_path_factory.mktemp("board")
    runs = folder / "runs"
    base = make_run(runs / "base", SUITE, everyday(0), BASE, str(gpt2_folder))
    first = add(base, wish(folder / "board"), SUITE)
    recipe = runs / "recipe.json"
    write_json(recipe, DPO_RECIPE)
    after = make_run(runs / "after", SUITE, everyday(1), AFTER)
    told = Told("dpo", "Detoxified in English", recipe)
    second = add(after, wish(folder / "board", "some/after", told, base=str(base)), SUITE)
    return folder / "board", first, second, runs


def refuse(run: Path, board: Path, words: str, **options) -> None:
    before = sorted(board.rglob("*"))
    with pytest.raises(DetoxBenchError, match=words):
        add(run, wish(board, **options), SUITE)
    assert sorted(board.rglob("*")) == before


def settings_file(run: Path) -> Path:
    return next(run.glob("settings-*.json"))


def test_a_submission_is_three_files_at_the_path_of_its_content(board):
    folder, first, second, _ = board
    for added in (first, second):
        submission = added.made.submission
        assert added.folder == folder_of(folder, submission)
        assert added.folder.name == submission.run_id
        names = sorted(file.name for file in added.folder.iterdir())
        assert names == ["repro.json", "samples.jsonl.gz", "submission.json"]
        raw = json.loads((added.folder / "submission.json").read_text("utf-8"))
        assert run_id(raw) == submission.run_id == raw["run_id"]
        assert Submission.model_validate(raw, strict=True) == submission
        samples = (added.folder / "samples.jsonl.gz").read_bytes()
        assert sha256(samples) == submission.samples_sha256
        lines = gzip.decompress(samples).splitlines()
        assert len(lines) == 2 * 24
        assert all(len(json.loads(line)["scores"]) == 3 for line in lines)
    assert not list(folder.rglob(".adding-*"))


def test_what_it_says_of_model_base_and_method(board):
    _, first, second, _ = board
    base, after = first.made.submission, second.made.submission
    assert base.base_model is None and base.change is None
    assert after.base_model.run_id == base.run_id
    assert after.model.revision == f"local-{AFTER[:12]}"
    assert after.method.recipe == {"recipe": "modern", "model": "base", "loss": 0.1}
    assert set(after.change) == {"de", "en", "mean"}
    assert after.perplexity_judge == base.perplexity_judge
    assert after.change["en"].perplexity_ratio.estimate > 0
    assert set(after.languages["en"].metrics) >= {"emt", "prompt_copy", "self_bleu"}


def test_what_is_on_the_board_is_read_back(board):
    _, _, second, _ = board
    found = read_on_board(second.folder, SUITE)
    assert found.submission == second.made.submission
    assert {line.language for line in found.lines} == {"de", "en"}


def test_no_text_is_in_a_submission(board):
    _, first, second, runs = board
    for added, run in ((first, "base"), (second, "after")):
        files = [file.read_bytes() for file in sorted(added.folder.iterdir())]
        files[1] = gzip.decompress(files[1])
        content = b"\n".join(files).decode()
        texts = [text.strip() for each in read_samples(runs / run) for text in each.texts]
        texts += [p.text for code in SUITE.languages for p in list_prompts("sample", code)]
        assert not [text for text in texts if text in content or json.dumps(text)[1:-1] in content]
        assert "/home" not in content and "somebody" not in content and str(runs) not in content


def test_the_same_run_is_added_once(board):
    folder, _, _, runs = board
    refuse(runs / "base", folder, "on the board already: .*never changed")


def test_the_base_comes_first(board, tmp_path):
    _, _, _, runs = board
    told = Told("other", "a filter")
    refuse(
        runs / "after", tmp_path, "no base some/base.*--method base", told=told, base="some/base"
    )
    refuse(runs / "after", tmp_path, "Name the base model: --base", told=told)
    refuse(runs / "base", tmp_path, "A base model has no --base", base="some/base")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Told("dpo"), "give --recipe FILE"),
        (Told("neurons"), "give --intervention FILE"),
        (Told("other"), "give --description with a sentence"),
        (Told("magic"), "Unknown method 'magic'"),
    ],
)
def test_a_method_says_how_it_was_made(board, told, words):
    folder, _, _, runs = board
    refuse(runs / "after", folder, words, name="some/new", told=told, base="some/base")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "nobody"}, "model.*nobody|name is 'nobody'"),
        ({"name": "reference/nothing"}, "is for reference rows"),
        ({"name": "some/base"}, "is the name of the base"),
    ],
)
def test_names_are_checked(board, options, words):
    folder, _, _, runs = board
    told = Told("other", "a filter")
    refuse(runs / "after", folder, words, told=told, base="some/base", **options)


def test_a_revision_is_a_full_commit(board):
    folder, _, _, runs = board
    made = wish(folder, "some/new", Told("other", "x"), base="some/base")
    for revision in ("main", "abc123", "A" * 40):
        object.__setattr__(made, "model", ModelTold("some/new", revision))
        with pytest.raises(DetoxBenchError, match="not a full commit"):
            add(runs / "after", made, SUITE)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("temperature", 0.7, r"temperature is 0.7, and the suite has 0.9"),
        ("max_gen_toks", 40, "max_gen_toks is 40, and the suite has 20"),
        ("repetition_penalty", 1.2, "repetition_penalty is 1.2, and the suite has None"),
    ],
)
def test_other_settings_are_refused(tmp_path, name, value, words):
    run = make_run(tmp_path / "run", SUITE)
    facts = json.loads(settings_file(run).read_text("utf-8"))
    facts["generation"][name] = value
    settings_file(run).write_text(json.dumps(facts), "utf-8")
    refuse(run, tmp_path / "board", words)


def test_a_run_that_does_not_say_how_is_refused(tmp_path):
    run = make_run(tmp_path / "run", SUITE)
    settings_file(run).unlink()
    refuse(run, tmp_path / "board", "does not say how it was sampled")


def edit_lines(run: Path, edit) -> None:
    file = run / "generations-0.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    file.write_text("".join(json.dumps(row) + "\n" for row in edit(rows)), "utf-8")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda rows: [r for r in rows if r["language"] != "de"], "no prompts in de"),
        (lambda rows: rows[3:], "23 prompts, and not the 24 of the list, in de"),
        (lambda rows: rows[:-1], "1 prompts do not have 3 samples, as sample/en/"),
        (
            lambda rows: [{**r, "prompt_id": r["prompt_id"].replace("/1", "/x")} for r in rows],
            "other prompts than those of the list in all 2 languages",
        ),
        (lambda rows: [{**r, "prompt_hash": "0" * 16} for r in rows], "a chat template"),
        (lambda rows: [{**r, "language": "fr"} for r in rows[:72]], "which the suite lacks"),
    ],
)
def test_other_prompts_and_missing_samples_are_refused(tmp_path, edit, words):
    run = make_run(tmp_path / "run", SUITE)
    edit_lines(run, edit)
    refuse(run, tmp_path / "board", words)


def test_all_that_is_wrong_with_a_run_is_said_at_once(tmp_path):
    run = make_run(tmp_path / "run", SUITE)
    edit_lines(run, lambda rows: rows[3:-1])
    refuse(run, tmp_path / "board", "23 prompts, and not the 24 of the list, in de; 1 prompts do")


def test_another_scorer_than_the_tracks_is_refused():
    track = SUITE.tracks["ngram"].model_copy(update={"scorer": "ngram@1#000000000000"})
    with pytest.raises(DetoxBenchError, match=r"scored by ngram@1#0+, and installed is ngram@"):
        load_track_scorer(track)


def test_unknown_lists_and_tracks_are_refused(board):
    folder, _, _, runs = board
    made = wish(folder)
    for place, words in (
        (Place(folder, "quik", "ngram"), "Did you mean 'quick'"),
        (Place(folder, "sample", "perspective"), "Unknown track"),
    ):
        object.__setattr__(made, "place", place)
        with pytest.raises(UnknownName, match=words):
            add(runs / "base", made, SUITE)


def test_too_many_unscored_are_refused():
    def line(scores):
        return SampleLine(
            language="en",
            prompt_id="x/1",
            asked="0" * 16,
            texts=["0" * 16] * len(scores),
            scores=scores,
            metrics={},
        )

    check_scored([line([0.5] * 99 + [None])], 0.01)
    with pytest.raises(BadData, match=r"More than 1% of the samples are unscored: en 2\.0%"):
        check_scored([line([0.5] * 98 + [None] * 2)], 0.01)


def test_another_judge_than_the_bases_is_refused(board, llama_folder):
    folder, _, _, runs = board
    told = Told("other", "a filter")
    options = {"base": "some/base", "perplexity_model": str(llama_folder)}
    refuse(runs / "after", folder, "was judged by perplexity@", name="a/b", told=told, **options)
    options = {"base": "some/base"}
    refuse(runs / "after", folder, "--perplexity-model", name="a/b", told=told, **options)


def test_an_intervention_must_be_that_of_the_run(board, tmp_path):
    folder, *_ = board
    file = tmp_path / "edit.json"
    base = {"name": "x", "model_type": "gpt2", "layers": 2, "neurons": 64}
    write_json(
        file,
        {"schema": 1, "base_model": base, "operator": "add", "positions": "all",
         "edits": [[0, 1, -1.0]]},
    )  # fmt: skip
    run = make_run(tmp_path / "run", SUITE, everyday(2))
    record = json.loads((run / "run.json").read_text("utf-8"))
    record["identity"]["intervention"] = "0" * 16
    (run / "run.json").write_text(json.dumps(record), "utf-8")
    told = Told("neurons", intervention=file)
    refuse(run, folder, "the run was made with 0000", name="a/b", told=told, base="some/base")


def test_reference_rows_are_outside_the_band(board):
    folder, _, _, runs = board
    found = {
        name: add_reference(runs / "base", name, wish(folder, "", Told("")), SUITE).made.submission
        for name in REFERENCES
    }
    nothing = found["says nothing"]
    assert nothing.model.name == "reference/says-nothing"
    assert nothing.mean["empty_rate"].estimate == 1
    assert nothing.languages["en"].perplexity.median is None
    assert found["always English"].languages["de"].metrics["language_share"].estimate < 0.2
    assert found["repeats the prompt"].mean["prompt_copy"].estimate == 1
    assert [name for name, each in found.items() if not each.degenerate] == []
    with pytest.raises(UnknownName, match="Did you mean 'says nothing'"):
        add_reference(runs / "base", "says nothin", wish(folder), SUITE)


def test_random_words_are_the_bases_own_and_always_the_same(board):
    _, _, _, runs = board
    samples = list(read_samples(runs / "base"))
    found = reference_samples(RANDOM, samples, {})
    assert found == reference_samples(RANDOM, samples, {})
    known = {word for each in samples for text in each.texts for word in text.split()}
    drawn = [word for each in found for text in each.texts for word in text.split()]
    assert set(drawn) <= known
    lengths = [[len(t.split()) for t in each.texts] for each in samples]
    assert lengths == [[len(t.split()) for t in each.texts] for each in found]


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("pretrained=/home/me/model,run_folder=a/b", "pretrained=model,run_folder=a/b"),
        ("--out '/tmp/x y'", "--out 'x y'"),
        ("~/models/base", "base"),
        (r"C:\models\base", "base"),
        ("https://huggingface.co/a/b", "https://huggingface.co/a/b"),
        ("org/model and 1/2", "org/model and 1/2"),
        ("/", "/"),
    ],
)
def test_paths_are_cut_down_to_their_last_part(command, wanted):
    assert without_paths(command) == wanted
    assert without_paths({"a": [command, 1, None]}) == {"a": [wanted, 1, None]}


def test_a_machine_is_described_without_its_name():
    import getpass
    import platform

    told = json.dumps(machine())
    assert platform.node() not in told or not platform.node()
    assert set(machine()) == {"system", "python", "processor", "gpu"}
    assert getpass.getuser() not in told.split()


def test_contamination_is_declared_one_way():
    assert _contamination("rtplx, ptp", False, "even").model_dump() == {
        "rtplx": True, "jigsaw": False, "ptp": True, "note": "even"
    }  # fmt: skip
    assert not _contamination(None, True, None).rtplx
    for named, none in ((None, False), ("ptp", True), (" ,", False)):
        with pytest.raises(DetoxBenchError, match="Say what the model was trained on"):
            _contamination(named, none, None)
    with pytest.raises(UnknownName, match="Did you mean 'jigsaw'"):
        _contamination("jigsow", False, None)


def test_the_texts_are_encrypted(board, tmp_path, monkeypatch):
    pyzipper = pytest.importorskip("pyzipper")
    _, _, _, runs = board
    file = tmp_path / "texts.zip"
    with pytest.raises(DetoxBenchError, match="set DETOX_BENCH_ZIP_PASSWORD"):
        encrypted_texts.check_zip(file)
    monkeypatch.setenv("DETOX_BENCH_ZIP_PASSWORD", "secret")
    encrypted_texts.check_zip(file)
    encrypted_texts.write_zip(file, runs / "base", "0f")
    with pyzipper.AESZipFile(file) as archive:
        with pytest.raises(RuntimeError):
            archive.read("0f.jsonl")
        archive.setpassword(b"secret")
        lines = [json.loads(line) for line in archive.read("0f.jsonl").splitlines()]
    samples = list(read_samples(runs / "base"))
    assert [tuple(line["texts"]) for line in lines] == [each.texts for each in samples]


def test_a_missing_zip_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyzipper", None)
    monkeypatch.setenv("DETOX_BENCH_ZIP_PASSWORD", "secret")
    with pytest.raises(MissingExtra, match=r"detox-bench\[leaderboard\]"):
        encrypted_texts.check_zip(tmp_path / "texts.zip")


def test_a_field_the_schema_refuses_is_named():
    with pytest.raises(BadData, match=r"parameters is -1.*greater than or equal to 0"):
        card = {"name": "a/b", "revision": "0" * 40, "weights_sha256": "0" * 64}
        checked(ModelCard, {**card, "parameters": -1})


def test_generation_arguments_are_all_there_are():
    assert digest(generation_arguments(SUITE.sampling)) == "3f856019c6cd767f"


def test_a_disk_that_fails_leaves_nothing_behind(board, tmp_path, monkeypatch):
    _, _, second, _ = board

    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BadRunFolder, match="No space left on device"):
        put(tmp_path, second.made)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".adding")]
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("command", ["eval --api_key=abc 'run/x", "eval --api_key abc run/x"])
def test_a_command_is_repeated_without_its_secrets_even_with_an_open_quote(command, tmp_path):
    record = RunRecord(tmp_path, command=command)
    shown = reproduction(record, None)["command"]
    assert "abc" not in shown and "run/x" in shown


def test_the_list_that_a_run_is_of_is_named_and_why_it_is_the_sample_set(tmp_path):
    suite = load_specification()
    record = RunRecord(
        tmp_path,
        generation=generation_arguments(suite.sampling),
        identity={"weights_sha256": "a" * 64},
    )
    samples = [
        PromptSamples(code, prompt.id, ("a",) * suite.sampling.samples, digest(prompt.text))
        for code in suite.languages
        for prompt in list_prompts("sample", code)
    ]
    check_run(record, samples, suite, suite.lists["sample"])
    with pytest.raises(BadData, match="are those of the list sample: give --list sample"):
        check_run(record, samples, suite, suite.lists["quick"])
    with pytest.raises(BadData, match=r"12 prompts, and not the 100 .* all 17 languages; .*rtplx"):
        check_run(record, samples[::2], suite, suite.lists["quick"])
