"""Tables that several commands print."""

from detox_bench.commands.tables import print_toxicity
from detox_bench.summary import summarise

METRICS = {"en": [{"emt": 0.25}] * 4, "de": [{"emt": 0.0}, {"emt": 1.0}]}


def test_no_language_is_called_more_toxic_than_another(capsys):
    print_toxicity(summarise(METRICS), "title", doubts=["a [doubt]"])
    shown = capsys.readouterr().out
    assert "Levels of different languages are not comparable" in shown
    assert "highest" not in shown and "Doubtful: a [doubt]" in shown


def test_one_language_is_not_compared_with_itself(capsys):
    print_toxicity(summarise({"de": METRICS["de"]}), "title")
    shown = capsys.readouterr().out
    assert "0.500" in shown and "comparable" not in shown  # the mean of 0 and 1
