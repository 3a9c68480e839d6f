"""The paper's Table 2: which names find a line, and that its numbers are the paper's."""

import json

import pytest

from detox_bench.reports.paper import paper_line

HUB_IDS = (
    "ai-forever/mGPT",
    "bigscience/bloom-1b7",
    "bigscience/bloom-7b1",
    "meta-llama/Llama-2-7b-hf",
    "meta-llama/Meta-Llama-3-8B",
    "CohereLabs/aya-23-8B",
)
#: Our names, and those of the table, with what a number of it is divided by.
METRICS = {
    "emt": ("EMT", 1),
    "toxicity_probability": ("ToxProb_pct", 100),
    "average_toxicity": ("AvgTox", 1),
    "perplexity": ("PPL", 1),
    "distinct_1": ("Dist1", 1),
    "distinct_2": ("Dist2", 1),
    "distinct_3": ("Dist3", 1),
}


def test_the_drop_of_mgpt_is_the_one_the_paper_speaks_of():
    line = paper_line("ai-forever/mGPT")
    assert line is not None and line.tuning == "full"
    # 46.8 % to 3.9 %, as the paper's abstract has it.
    assert line.before["toxicity_probability"] == pytest.approx(0.468)
    assert line.after["toxicity_probability"] == pytest.approx(0.039)


def test_hub_ids_and_folders_find_the_same_line():
    lines = [paper_line(name) for name in HUB_IDS]
    assert None not in lines and len({line.model for line in lines}) == len(HUB_IDS)
    for name, line in zip(HUB_IDS, lines, strict=True):
        own = name.rpartition("/")[2]
        for other in (own, f"/data/{own}/", f"models/{own.upper()}", rf"C:\models\{own}"):
            assert paper_line(other) == line


@pytest.mark.parametrize(
    "name",
    [None, "", "/", ".", "mini-mgpt", "mGPT-detox", "mGPT-13B", "my/mgpt/checkpoint-20", "bloom"],
)
def test_other_names_find_none(name):
    assert paper_line(name) is None


def test_every_number_is_the_papers(shared):
    facts = json.loads((shared / "PAPER_FACTS.json").read_text("utf-8"))
    lines = {line.model: line for line in map(paper_line, HUB_IDS)}
    assert lines.keys() == facts["table2"].keys()
    for model, line in lines.items():
        assert line.tuning == facts["table2_tuning"][model]
        for side in ("before", "after"):
            theirs = facts["table2"][model][side]
            expected = {ours: theirs[name] / by for ours, (name, by) in METRICS.items()}
            assert getattr(line, side) == pytest.approx(expected)
