"""Checks: a good submission passes; each fault is found, and by the sentence that names it."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from submission_doubles import (
    LANGUAGES,
    SUITE,
    Change,
    edit,
    forge,
    model_of,
    problems,
    sample_lines,
    stated,
)
from typer.testing import CliRunner

from detox_bench.commands.leaderboard import app
from detox_bench.errors import BadData
from detox_bench.leaderboard import specification
from detox_bench.leaderboard.board import read_stated
from detox_bench.leaderboard.check_summary import escaped, markdown
from detox_bench.leaderboard.checking import check
from detox_bench.leaderboard.checks import CHECKS
from detox_bench.leaderboard.content import sha256
from detox_bench.leaderboard.making import make, put
from detox_bench.leaderboard.submission import SAMPLES

DOCS = Path(__file__).parents[1] / "docs" / "leaderboard_checks.md"


def test_good_submissions_pass(board):
    found = check([board], None, SUITE)
    assert [each.problems for each in found.checked] == [[], []]
    assert found.exit_code == 0


def swap_sample(lines):
    lines[0]["scores"][0] = round(1 - lines[0]["scores"][0] / 2, 6)


def two_texts(lines):
    one, two = lines[0]["texts"], lines[1]["texts"]
    one[0], two[0] = two[0], two[0]


#: The faults that one who knows the format makes: every hash and the path agree again.
FORGED = {
    "an edited mean": (
        Change(lambda raw: raw["mean"]["emt"].update(estimate=0.1)),
        r"mean\.emt\.estimate is 0\.1, and the samples give 0\.\d+: a difference of 0\.\d+\.",
    ),
    "an edited change": (
        Change(lambda raw: raw["change"]["ar"]["metrics"]["emt"]["difference"].update(high=-0.3)),
        r"change\.ar\.metrics\.emt\.difference\.high is -0\.3",
    ),
    "a bettered verdict": (
        Change(lambda raw: raw["change"]["en"].update(verdict="spotless")),
        r"change\.en\.verdict is 'spotless', and the samples give 'clean'",
    ),
    "one swapped sample": (Change(lines=swap_sample), r"languages\.ar\.metrics\.\w+\.estimate is"),
    "a text twice": (Change(lines=two_texts), r"languages\.ar\.metrics\.common_rate\.estimate is"),
    "a dropped language": (
        Change(lines=lambda lines: lines.__delitem__(slice(0, 40))),
        r"ar has 0 prompts, and the list has 40\.",
    ),
    "a dropped prompt": (Change(lines=lambda lines: lines.pop()), r"zh-Hans has 39 prompts"),
    "a prompt twice": (
        Change(lines=lambda lines: lines[1].update(lines[0])),
        r"1 prompts are there twice, as sample/ar/0",
    ),
    "another prompt": (
        Change(lines=lambda lines: lines[0].update(prompt_id="sample/ar/easy")),
        r"The prompts in ar are not those of list sample",
    ),
    "a chat template": (
        Change(lines=lambda lines: lines[0].update(asked="0" * 16)),
        r"The prompts in ar were not given as they are",
    ),
    "too few samples": (
        Change(lines=lambda lines: lines[0]["scores"].pop()),
        r"1 prompts do not have 3 texts, scores and perplexities, as sample/ar/0 with 3, 2 and 3",
    ),
    "a language of no suite": (
        Change(lines=lambda lines: lines[0].update(language="tlh")),
        r"The suite has no language tlh",
    ),
    "unscored samples": (
        Change(lines=lambda lines: [each.update(scores=[None] * 3) for each in lines[:2]]),
        r"5\.00% of the samples in ar are unscored; this scorer scores every text",
    ),
    "one seed for all samples": (
        Change(lines=lambda lines: [each.update(texts=each["texts"][:1] * 3) for each in lines]),
        r"All samples of a prompt are one text for 40 of 40 prompts in ar",
    ),
    "a share of 7": (
        Change(lines=lambda lines: lines[0]["metrics"].update(distinct_2=7.0)),
        r"sample/ar/0: distinct_2 is 7\.0, and should be in \[0, 1\]",
    ),
    "no language share": (
        Change(lines=lambda lines: lines[0]["metrics"].pop("language_share")),
        r"language_share is missing for 1 prompts",
    ),
    "a metric of nobody": (
        Change(lines=lambda lines: lines[0]["metrics"].update(beauty=1.0)),
        r"beauty is none of the metrics of quality",
    ),
    "no perplexity": (
        Change(lines=lambda lines: [each.update(perplexities=None) for each in lines]),
        r"100\.0% of the texts in ar have no perplexity",
    ),
    "a huge perplexity": (
        Change(lines=lambda lines: lines[0].update(perplexities=[1e300] * 3)),
        r"sample/ar/0 has a perplexity of 1e\+300",
    ),
    "another track": (Change(lambda raw: raw.update(track="mine")), r"track is 'mine'; allowed: "),
    "another list": (Change(lambda raw: raw.update(prompt_list="easy")), r"prompt_list is 'easy'"),
    "another suite": (Change(lambda raw: raw.update(suite="other")), r"suite is 'other'; allowed"),
    "another scorer": (
        Change(lambda raw: raw["scorer"].update(id="kind@1")),
        r"scorer\.id is 'kind@1', and track ngram has 'ngram@",
    ),
    "another threshold": (
        Change(lambda raw: raw["scorer"].update(threshold=0.9)),
        r"scorer\.threshold is 0\.9, and track ngram has 0\.5",
    ),
    "a language without a state": (
        Change(lambda raw: raw["scorer"]["states"].pop("ar")),
        r"scorer\.states says nothing of ar",
    ),
    "a state of its own": (
        Change(lambda raw: raw["scorer"]["states"].update(ar="perfect")),
        r"scorer\.states of ar is none of validated, ",
    ),
    "another temperature": (
        Change(lambda raw: raw["generation"].update(temperature=0.1)),
        r"generation\.temperature is 0\.1, and the suite has 0\.9",
    ),
    "another setting": (
        Change(lambda raw: raw["generation"].update(repetition_penalty=1.5)),
        r"generation\.repetition_penalty is 1\.5, and the suite has None",
    ),
    "other weights": (
        Change(lambda raw: raw["identity"].update(weights_sha256="0" * 64)),
        r"model\.weights_sha256 is not identity\.weights_sha256",
    ),
    "another local revision": (
        Change(lambda raw: raw["model"].update(revision="local-" + "0" * 12)),
        r"model\.revision is local-0+, and the weights begin with ",
    ),
    "no recipe": (
        Change(lambda raw: raw["method"].update(recipe=None)),
        r"method\.recipe is missing; dpo needs it",
    ),
    "a base with a base": (
        Change(lambda raw: raw["method"].update(kind="base")),
        r"method\.kind is base, and yet there is a base_model",
    ),
    "no base": (
        Change(lambda raw: raw.update(base_model=None)),
        r"method\.kind is dpo: base_model and change must be there",
    ),
    "a base that is not there": (
        Change(lambda raw: raw["base_model"].update(run_id="0" * 64)),
        r"The base model lab__base \(run 0{12}\) is not on the board",
    ),
    "another judge of perplexity": (
        Change(lambda raw: raw.update(perplexity_judge="flatterer")),
        r"perplexity_judge is 'flatterer', and the base judges, whose weights make it perplexity@",
    ),
    "a false flag": (
        Change(lambda raw: raw.update(degenerate=True)),
        r"degenerate is True, and its mean is inside the band",
    ),
    "a date to come": (Change(lambda raw: raw.update(submitted="2999-01-01")), r"in the future"),
    "a date of no calendar": (Change(lambda raw: raw.update(submitted="2025-13-45")), r"no date"),
    "a name of ours": (
        Change(lambda raw: raw["model"].update(name="Reference/clean")),
        r"The organisation Reference is for reference rows",
    ),
    "text that turns around": (
        Change(lambda raw: raw["method"].update(description="safe \u202etxt.exe")),
        r"method\.description holds U\+202E, which hides or reorders text: 'safe \\u202etxt\.exe'",
    ),
    "a text without width": (
        Change(lambda raw: raw["model"].update(licence="MIT\u200b")),
        r"model\.licence holds U\+200B",
    ),
    "a long name": (
        Change(lambda raw: raw["method"]["recipe"].update({"x" * 300: 1})),
        r"a name in method\.recipe has 300 characters; 200 is the most",
    ),
    "a recipe of a novel": (
        Change(lambda raw: raw["method"]["recipe"].update(text="x" * 301)),
        r"method\.recipe is an object of 2, and should be: at most 20000 bytes of JSON with texts",
    ),
    "many settings": (
        Change(lambda raw: raw["generation"].update({f"{n}": 0 for n in range(60_000)})),
        r"generation is an object of 60006, and should be: at most 4000 bytes of JSON",
    ),
    "many versions": (
        Change(lambda raw: raw["versions"].update({f"{n}": "1" for n in range(64)})),
        r"versions is an object of 65, and should be: at most 64 items",
    ),
    "edited neurons that are called DPO": (
        Change(lambda raw: raw["identity"].update(intervention="0" * 16)),
        r"There is identity\.intervention 0{16}, and method\.kind is dpo\. Submit",
    ),
    "an intervention of a DPO": (
        Change(lambda raw: raw["method"].update(intervention={})),
        r"There is method\.intervention, and method\.kind is dpo\.",
    ),
    "an intervention of nothing": (
        Change(lambda raw: raw["method"].update(kind="neurons", intervention={"value": 0})),
        r"method\.intervention is no intervention, and the run was made with none \(identity\.",
    ),
    "retrieval out of range": (
        Change(lambda raw: raw.update(retrieval={"ar": 17.0})),
        r"retrieval\.ar is 17\.0",
    ),
}


@pytest.mark.parametrize("fault", FORGED)
def test_a_forged_submission_is_refused_with_the_sentence_that_names_it(board, fault):
    change, sentence = FORGED[fault]
    found = problems(forge(model_of(board), change))
    assert any(re.search(sentence, each) for each in found), found


def test_what_was_edited_by_hand_is_told_from_its_hash(board):
    folder = model_of(board)
    edit(folder, {"hardware": "a better machine"})
    (found,) = problems(folder)
    assert "it was edited by hand" in found


def test_samples_and_reproduction_must_have_the_hashes_stated(board):
    folder = model_of(board)
    (folder / "repro.json").write_text("{}", "utf-8")
    shutil.copy(model_of(board, "lab__base") / "samples.jsonl.gz", folder)
    found = problems(folder)
    assert any(each.startswith("samples.jsonl.gz has the SHA-256") for each in found)
    assert any(each.startswith("repro.json has the SHA-256") for each in found)


def test_a_folder_of_another_name_is_told_where_it_belongs(board):
    folder = model_of(board)
    moved = folder.rename(folder.parents[2] / "lab__base" / ("0" * 64))
    found = check([moved.parent], None, SUITE)
    assert found.exit_code == 2  # two levels below submissions there is no submission
    place = board / "submissions" / "lab__dpo" / "local-aaaaaaaaaaaa" / ("0" * 64)
    place.parent.mkdir(parents=True)
    moved.rename(place)
    assert any("and belongs in lab__dpo/local-" in each for each in problems(place))


@pytest.mark.parametrize(
    "name",
    [
        "lab/a__b",
        "lab__a/b",
        "_lab/b",
        "lab/b_",
        "lab/_b",
        "lab_/b",
        "lab/mod\u0435l",
        "lab/m\u3164",
    ],
)
def test_names_are_ascii_and_make_a_folder_of_their_own(board, name):
    found = problems(forge(model_of(board), Change(lambda raw: raw["model"].update(name=name))))
    assert found[0].startswith("submission.json: model.name is '")
    assert (
        "and should be: org/model, each of ASCII letters, digits, '.', '-' and single" in found[0]
    )


def test_names_differ_by_more_than_case(board):
    def rename(raw):
        raw["model"]["name"] = "Lab/DPO"

    copied = Path(shutil.copytree(model_of(board), board / "submissions" / "x" / "r" / "x"))
    found = problems(forge(copied, Change(rename)))
    assert [each for each in found if each.startswith("The name Lab__DPO differs from lab__dpo, ")]
    shutil.rmtree(board / "submissions" / "Lab__DPO")
    good = forge(model_of(board), Change(lambda raw: raw["model"].update(name="L-a.b/d_p_o.1-x")))
    assert problems(good) == []


def test_of_samples_that_could_not_be_read_nothing_else_is_told(board):
    folder = model_of(board)
    content = gzip.decompress((folder / SAMPLES).read_bytes()).replace(b":", b": ")
    (folder / SAMPLES).write_bytes(packed := gzip.compress(content))
    (found,) = problems(
        forge(folder, Change(lambda raw: raw.update(samples_sha256=sha256(packed))))
    )
    assert found.startswith("samples.jsonl.gz line 1 is not in the one form that")


def test_a_check_tells_ten_problems_and_how_many_more(board):
    def settings(raw):
        raw["generation"] |= {f"setting {n}": 0 for n in range(25)}

    found = problems(forge(model_of(board), Change(settings)))
    assert sum(each.startswith("generation.setting ") for each in found) == 10
    assert "15 more of this kind: generation." in found


def test_how_it_was_made_has_a_schema(board):
    folder = model_of(board)
    made = json.loads((folder / "repro.json").read_text("utf-8"))
    made |= {"texts": ["what the model wrote"], "command": "x" * 10_001, "seed": "0"}
    content = json.dumps(made).encode()
    (folder / "repro.json").write_bytes(content)
    found = problems(
        forge(folder, Change(lambda raw: raw.update(reproduction_sha256=sha256(content))))
    )
    assert [each.partition(" is ")[0] for each in found] == [
        "repro.json: command",
        "repro.json: seed",
        "repro.json: texts",
    ]


def test_a_scorer_that_cannot_fail_leaves_no_sample_unscored(board):
    """Without its worst samples a model is less toxic; another track may say otherwise."""

    def drop_the_worst(lines):
        scores = lines[0]["scores"]
        scores[scores.index(max(scores))] = None

    folder = forge(model_of(board), Change(lines=drop_the_worst))
    wanted = "0.83% of the samples in ar are unscored"  # 1 of 40 x 3
    assert [each for each in problems(folder) if each.startswith(wanted)]
    track = SUITE.tracks["ngram"].model_copy(update={"most_unscored": None})
    other = SUITE.model_copy(update={"tracks": {"ngram": track}})
    found = check([folder], None, other).checked[0].problems
    assert not [each for each in found if "unscored;" in each]


def test_the_same_samples_again_are_refused_and_a_dropped_language_is_named(board):
    folder = model_of(board)
    twin = Path(shutil.copytree(folder, folder.parent / "twin"))
    found = problems(forge(twin, Change(lambda raw: raw.update(hardware="another"))))
    assert [each for each in found if "on the board already" in each]
    fewer = SUITE.model_copy(update={"languages": list(LANGUAGES[:2])})
    base = check([model_of(board, "lab__base")], None, SUITE).checked[0].submission
    assert base is not None
    lines = [each for each in sample_lines("again") if each.language != "zh-Hans"]
    made = make(stated("lab/base", "base"), lines, None, fewer)
    found = problems(put(board, made))
    assert any(each.startswith("It drops zh-Hans, which run ") for each in found)


def test_a_board_that_changed_is_told_from_a_folder(original, board):
    edit(model_of(board, "lab__base"), {"hardware": "another"})
    badge = model_of(board) / "badge.json"
    badge.write_text('[{"badge": "samples-checked", "date": "2026-01-01", "note": null}]', "utf-8")
    found = check([board], str(original), SUITE, badges=True)
    assert [each.split(" was ")[1] for each in found.board_problems] == [
        "changed: what is on the board stays as it is. Add another run beside it."
    ]
    assert {each.folder.parts[-3] for each in found.checked} == {"lab__base", "lab__dpo"}
    shutil.rmtree(model_of(board, "lab__base"))
    found = check([board], str(original), SUITE)
    assert not [each for each in found.board_problems if "came with its submission" in each]
    assert len([each for each in found.board_problems if "was removed" in each]) == 3


def test_a_badge_that_comes_with_its_submission_is_refused(original, board):
    new = Path(shutil.copytree(model_of(board), board / "submissions" / "you__new" / "r" / "new"))
    (new / "badge.json").write_text(
        '[{"badge": "reproduced", "date": "2026-01-01", "note": null}]', "utf-8"
    )
    (found,) = check([board], str(original), SUITE).board_problems
    assert found.startswith("you__new/r/new/badge.json came with its submission: badges are")


def test_badges_are_given_changed_and_taken_away_by_maintainers_only(original, board, tmp_path):
    badge = model_of(board) / "badge.json"
    badge.write_text("[]", "utf-8")
    for now, before, word in ((board, original, "added"), (original, board, "removed")):
        (found,) = check([now], str(before), SUITE).board_problems
        assert found.endswith(f"badge.json was {word}: badges are given by maintainers (`check "
                              "--badges`).")  # fmt: skip
        assert not check([now], str(before), SUITE, badges=True).board_problems


def test_what_stands_beside_the_submissions_may_not_change_with_them(original, board):
    (board / "benchmark.yaml").write_text("suite: mine", "utf-8")
    (found,) = check([board], str(original), SUITE).board_problems
    assert found.startswith("../benchmark.yaml was added: a pull request with submissions changes")
    assert not check([board], str(original / "submissions"), SUITE).board_problems


def test_a_board_named_by_a_relative_path_is_a_board(original, board, monkeypatch):
    monkeypatch.chdir(board / "submissions")
    found = check([Path("../../board")], str(original), SUITE)
    assert (found.checked, found.board_problems) == ([], [])


def test_a_later_run_may_not_be_dated_before_the_first(original, board):
    lines = sample_lines("another seed")
    folder = put(board, make(stated("lab/base", "base"), lines, None, SUITE))
    forged = forge(folder, Change(lambda raw: raw.update(submitted="2001-01-01")))
    (found,) = check([board], str(original), SUITE).checked
    assert [each for each in found.problems if each.startswith("It is dated 2001-01-01, and a run")]
    assert not problems(forged)


def test_links_are_told(original, board):
    (board / "submissions" / "evil__link").symlink_to("lab__base")
    found = check([board], str(original), SUITE)
    assert found.exit_code == 2
    assert found.checked[0].problems == ["evil__link is no folder of a submission."]
    (board / "submissions").rename(board / "elsewhere")
    (board / "submissions").symlink_to("elsewhere")
    with pytest.raises(BadData, match="is a link"):
        check([board], str(original), SUITE)


def test_a_board_with_a_suite_and_no_submission_yet_is_empty(board, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "benchmark.yaml").write_text("", "utf-8")
    assert check([tmp_path / "new"], None, SUITE).checked == []
    (board / "benchmark.yaml").write_text("", "utf-8")
    found = check([board], str(tmp_path / "new"), SUITE)
    assert (len(found.checked), found.board_problems) == (2, [])
    with pytest.raises(BadData, match="is no board"):
        check([board], str(tmp_path), SUITE)


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_board_that_changed_is_told_from_git(board):
    git(board, "init", "-q", "-b", "main")
    git(board, "add", ".")
    git(board, "commit", "-q", "-m", "The board")
    assert check([board], "main", SUITE).checked == []
    edit(model_of(board), {"hardware": "another"})
    new = forge(
        Path(shutil.copytree(model_of(board, "lab__base"), board / "submissions/a/b/c")),
        Change(lambda raw: raw.update(hardware="mine")),
    )
    found = check([board], "main", SUITE)
    assert [each.partition(" was ")[0].split("/")[-1] for each in found.board_problems] == [
        "submission.json"
    ]
    assert new in [each.folder for each in found.checked]
    with pytest.raises(BadData, match="cannot be compared by git"):
        check([board], "--output=/tmp/x", SUITE)


def test_paths_that_are_no_submissions_are_refused(board, tmp_path):
    with pytest.raises(BadData, match="nothing does not exist"):
        check([tmp_path / "nothing"], None, SUITE)
    with pytest.raises(BadData, match="is not in the folder 'submissions'"):
        check([tmp_path], None, SUITE)
    for above in (board, model_of(board).parents[1]):
        with pytest.raises(BadData, match=r"holds [12] submissions. Give the folder of .*lab__"):
            read_stated(above)
    for path in (board / "submissions", model_of(board), model_of(board) / "submission.json"):
        assert check([path], None, SUITE).exit_code == 0


def test_the_command_exits_as_it_finds_and_writes_what_it_found(board, tmp_path, monkeypatch):
    monkeypatch.setattr(specification, "load_specification", lambda _=None: SUITE)
    words = ["check", str(board), "--json", str(tmp_path / "found.json")]
    words += ["--markdown", str(tmp_path / "found.md")]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, "2 submissions checked, 0 refused." in done.output) == (0, True)
    edit(model_of(board), {"hardware": "[red]another"})
    assert CliRunner().invoke(app, words).exit_code == 1
    found = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert [len(each["problems"]) for each in found["checked"]] == [0, 1]
    assert "| **lab/dpo** | dpo | 0." in (tmp_path / "found.md").read_text("utf-8")
    (model_of(board) / "submission.json").write_text("{", "utf-8")
    assert CliRunner().invoke(app, words).exit_code == 2


def test_the_summary_makes_no_markup_of_names(board):
    found = check([model_of(board)], None, SUITE)
    evil = "<img src=x> [a](http://b) | @everyone `x`"
    sentence = found.checked[0]._replace(problems=[evil])
    text = markdown(found._replace(checked=[sentence]))
    assert evil not in text
    assert escaped(evil) in text
    assert escaped("<b> https://a.b") == "&lt;b> https&#58;//a.b"


def test_the_docs_list_every_check():
    text = DOCS.read_text("utf-8")
    rows = [f"| {name} | {check.wants} |" for name, check in CHECKS.items()]
    assert [row for row in rows if row not in text] == []
