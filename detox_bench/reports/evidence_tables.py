"""What other commands found, as tables of the report: over-suppression and capability."""

from collections.abc import Mapping, Sequence
from typing import Any

from detox_bench.capability import LEVEL
from detox_bench.comparison import MEAN_ROWS
from detox_bench.reports.cells import (
    Cell,
    Column,
    Row,
    Table,
    count_cell,
    difference_cell,
    finite,
    language_row,
    number_cell,
    p_cell,
)
from detox_bench.statistics import Interval
from detox_bench.suppression_texts import KINDS

NO_SUPPRESSION = (
    "Not measured. `detox-bench suppression` tells how much less likely harmless text has become; "
    "add its file with `--evidence FILE`."
)
NO_CAPABILITY = (
    "Not measured. `detox-bench capability` compares the models on lm-eval's own tasks; add its "
    "file with `--evidence FILE`."
)
_NATS = "Mean log-probability a token, in nats; below zero the model finds the text less likely."


def suppression_tables(found: Mapping[str, Any]) -> list[Table]:
    """Return a table for each kind of text, then how much more the toxic texts lost."""
    texts = {kind: _mapping(part) for kind, part in _mapping(found.get("texts")).items()}
    tables = [
        _by_language(_about(kind), _rows(part.get("languages")), ("base", "model"), _counts(part))
        for kind, part in texts.items()
    ]
    selectivity = _rows(_mapping(found.get("selectivity")).get("languages"))
    if selectivity:
        caption = "Selectivity: the change of the toxic completion less that of the harmless one"
        note = "Prompt by prompt, in nats a token; below zero is what detoxification should do."
        tables.append(_by_language(caption, selectivity, ("benign", "toxic"), note))
    return tables


def capability_tables(found: Mapping[str, Any]) -> list[Table]:
    """Return the table of tasks, with the means of their families at its foot, if there are any."""
    if not _rows(found.get("tasks")):
        return []
    columns = [Column(heading, numeric=False) for heading in ("task", "family", "metric")]
    columns += [Column(part) for part in ("documents", "base", "after", "change", "p", "p (Holm)")]
    rows = [_task(each) for each in _rows(found.get("tasks"))]
    foot = [_task(each) for each in _rows(found.get("means"))]
    notes = [f"✗: surely worse, by a p below {LEVEL:g} after Holm's correction over the tasks."]
    notes += [str(each) for each in found.get("remarks") or ()]
    return [Table("Tasks of lm-eval", columns, rows, foot, notes)]


def _about(kind: str) -> str:
    about = KINDS[kind].about if kind in KINDS else kind
    return f"{kind}: {about}"


def _counts(found: Mapping[str, Any]) -> str:
    """Return the unit, and how many texts were left out or cut."""
    counts = {"left out": found.get("n_left_out"), "cut": found.get("n_cut")}
    return " ".join([_NATS, *(f"{count} {what}." for what, count in counts.items() if count)])


def _by_language(
    caption: str, found: Sequence[Mapping[str, Any]], names: tuple[str, str], note: str
) -> Table:
    """Return a row a language; ``names`` are what the two sides are called."""
    headings = ("texts", names[0], names[1], "change", "p", "p (Holm)")
    columns = [Column("language", numeric=False), *(Column(heading) for heading in headings)]
    made = {str(each.get("language")): _numbers(each, names) for each in found}
    rows = [language_row(code, cells) for code, cells in made.items() if code not in MEAN_ROWS]
    foot = [language_row(code, cells) for code, cells in made.items() if code in MEAN_ROWS]
    return Table(caption, columns, rows, foot, (note,))


def _numbers(found: Mapping[str, Any], names: tuple[str, str]) -> list[Cell]:
    change = difference_cell(_interval(found.get("difference")))
    levels = [number_cell(found.get(name)) for name in names]
    tests = [p_cell(found.get(name)) for name in ("p", "p_holm")]
    return [_count(found.get("n_texts")), *levels, change, *tests]


def _count(found: object) -> Cell:
    return count_cell(found) if isinstance(found, int) else number_cell(None)


def _task(found: Mapping[str, Any]) -> Row:
    name = found.get("task") or f"mean of {found.get('tasks', 'the')} tasks"
    cells = [
        Cell(str(name)),
        Cell(str(found.get("family") or "")),
        Cell(f"{found.get('metric', '')} {'↑' if found.get('higher_is_better', True) else '↓'}"),
        _count(found.get("n")),
        number_cell(found.get("base")),
        number_cell(found.get("model")),
        _change_of_task(found),
        p_cell(found.get("p")),
        p_cell(found.get("p_holm")),
    ]
    return Row(cells)


def _change_of_task(found: Mapping[str, Any]) -> Cell:
    difference = _interval(found.get("difference"))
    one, two = finite(found.get("base")), finite(found.get("model"))
    if difference is None and one is not None and two is not None:
        difference = Interval(two - one, float("nan"), float("nan"))
    change = difference_cell(difference)
    if found.get("surely_worse") is not True:
        return change
    return change._replace(text=f"✗ {change.text}", tone="sign")


def _interval(found: object) -> Interval | None:
    """Return the interval of a JSON object; None where it is none."""
    bounds = _mapping(found)
    if finite(bounds.get("estimate")) is None:
        return None
    values = [finite(bounds.get(name)) for name in Interval._fields]
    return Interval(*(float("nan") if value is None else value for value in values))


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def _rows(found: object) -> Sequence[Mapping[str, Any]]:
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
