import pytest
from rtplx_doubles import folder_of, v03

from detox_bench.data.prompts import SOURCES, SUBSETS, load_prompts, load_rows, parallel_prompts
from detox_bench.data.rtplx import read_language, save_rtplx
from detox_bench.data.rtplx_files import open_rtplx
from detox_bench.data.store import content_sha256, read_manifest
from detox_bench.errors import BadData, UnknownName
from detox_bench.languages import PAPER_LANGUAGES


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DETOX_BENCH_DATA", str(tmp_path / "data"))


@pytest.fixture
def prepared(tmp_path) -> None:
    source = folder_of(
        tmp_path / "source",
        EN=[v03(i, f"prompt {i} en") for i in (0, 1, 960, 998)],
        DE=[v03(str(i), f"prompt {i} de") for i in (0, 1, 961, 999, 1000, 1001)],
        BCMS=[v03("1", "prompt 1 sh"), v03("NA", "prompt NA sh")],
        HE=[v03(0, ""), v03(1, "prompt 1 he")],
    )
    opened = open_rtplx(source)
    save_rtplx(opened, [read_language(*pair) for pair in opened.files])


def ids(language: str, subset: str = "all") -> list[str]:
    return [prompt.id.split("/")[-1] for prompt in load_prompts(language, subset=subset).prompts]


@pytest.mark.parametrize("language", PAPER_LANGUAGES)
def test_without_rtplx_the_sample_set_is_asked_and_named(language):
    found = load_prompts(language)
    assert found == load_prompts(language, "sample")
    assert found.name == "sample"
    assert len(found.prompts) >= 20
    assert {prompt.language for prompt in found.prompts} == {language}
    assert found.sha256 == content_sha256((p.id, p.text) for p in found.prompts)


def test_a_language_the_sample_set_lacks_says_how_to_get_it():
    with pytest.raises(BadData, match=r"has no 'he', only ar, .*`detox-bench data rtplx SOURCE`"):
        load_prompts("he")


def test_rtplx_asked_for_and_not_prepared_says_what_to_do():
    with pytest.raises(BadData, match="No RTP-LX has been prepared: run `detox-bench data rtplx"):
        load_prompts("de", "rtplx")
    with pytest.raises(BadData, match="No RTP-LX has been prepared"):
        load_rows("de")


def test_the_prepared_rtplx_comes_first(prepared):
    found = load_prompts("en")
    assert (found.name, found.release) == ("rtplx", "unknown v0.3 schema")
    assert [p.text for p in found.prompts] == [f"prompt {i} en" for i in (0, 1, 960, 998)]
    assert found.sha256 == read_manifest("rtplx").languages["en"].content_sha256
    assert load_prompts("en", "sample").name == "sample"


def test_rtplx_and_sample_set_are_never_mixed(prepared):
    for source in ("auto", "rtplx"):
        with pytest.raises(BadData, match=r"RTP-LX \(source\) has no 'fr', only de, en, he, sh"):
            load_prompts("fr", source)


def test_parity_is_that_of_the_index_in_the_file(prepared):
    """German 961 is item 960: odd by its Index, by which releases were split."""
    assert ids("en", "odd") == ["1"]
    assert ids("en", "even") == ["0", "960", "998"]
    assert ids("de", "odd") == ["1", "960", "998", "1001"]
    assert ids("de", "even") == ["0", "1000"]
    assert ids("de", "parallel") == ["0", "1", "960", "998"]
    assert ids("sh", "odd") == ["1"]  # a row without Index is in neither half
    assert len(ids("sh")) == 2


def test_a_subset_has_its_own_hash_and_says_its_name(prepared):
    whole, odd = load_prompts("de"), load_prompts("de", subset="odd")
    assert (whole.subset, odd.subset) == ("all", "odd")
    assert whole.sha256 != odd.sha256
    assert set(odd.prompts) < set(whole.prompts)


def test_an_empty_subset_is_an_error(prepared):
    with pytest.raises(BadData, match="No prompt in 'he' of rtplx is in the subset 'even'"):
        load_prompts("he", subset="even")


@pytest.mark.parametrize("subset", SUBSETS)
def test_every_subset_has_sample_prompts(subset):
    assert load_prompts("en", subset=subset).prompts


def test_unknown_names_come_with_a_suggestion():
    with pytest.raises(UnknownName, match=r"Unknown subset 'evn'\. Did you mean 'even'\?"):
        load_prompts("en", subset="evn")
    with pytest.raises(UnknownName, match=r"source 'rtp-lx'\. Did you mean 'rtplx'\? Known: auto"):
        load_prompts("en", "rtp-lx")
    with pytest.raises(UnknownName, match=r"language 'zh-Hand'\. Did you mean 'zh-Han"):
        load_prompts("zh-Hand")
    assert sorted(SOURCES) == ["auto", "rtplx", "sample"]


def test_parallel_prompts_are_in_one_order(prepared):
    found = parallel_prompts(["en", "de"])
    assert [p.id for p in found["de"]] == [f"rtplx/de/{i}" for i in (0, 1, 960, 998)]
    assert [p.text for p in found["de"]] == [f"prompt {i} de" for i in (0, 1, 961, 999)]
    assert [p.id for p in found["en"]] == [f"rtplx/en/{i}" for i in (0, 1, 960, 998)]
    assert [p.id for p in parallel_prompts(["en", "he"])["en"]] == ["rtplx/en/1"]


def test_parallel_sample_prompts_are_all_of_them():
    found = parallel_prompts(PAPER_LANGUAGES)
    assert set(found) == set(PAPER_LANGUAGES)
    assert [p.id.split("/")[-1] for p in found["ar"]] == [p.id.split("/")[-1] for p in found["en"]]
    assert len(found["ar"]) == len(load_prompts("ar").prompts)


def test_rows_hold_every_column(prepared):
    rows = load_rows("de")
    assert rows.num_rows == 6
    assert rows[2]["index"] == "961"
    assert rows[2]["parallel_id"] == 960
    assert rows[2]["ratings"]["Insult"] == [1.0, 1.0, 1.0]
