"""What the commands on neurons print in the terminal."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from detox_bench.comparison import FEWEST, OTHERS, SOURCE, Change, ComparisonRow
from detox_bench.languages import LANGUAGES
from detox_bench.statistics import Interval
from detox_bench.summary import MEAN

if TYPE_CHECKING:
    from detox_bench.neurons.find.activation_change import ActivationChange
    from detox_bench.neurons.find.found import FoundNeurons
    from detox_bench.neurons.find.token_counts import Spread, TokenCounts

_BOX = box.SIMPLE_HEAD
_WIDTH = 150
_SHOWN = 15  # neurons; the file has the others
_WORDS = ("scripts", "languages")  # headings of columns of words, which stand on the left
_KINDS = 6  # scripts or languages named in a cell


def print_found(found: "FoundNeurons") -> None:
    """Print the first neurons with what was measured, where they are, and how many are sources."""
    names = list(dict.fromkeys(name for each in found.neurons for name in each.measures))
    table = Table(title=f"{escape(found.base_model.name)}: neurons by {found.by}", box=_BOX)
    for heading in ("", "neuron", *names, "source"):
        table.add_column(heading, justify="right")
    for place, each in enumerate(found.neurons[:_SHOWN], 1):
        cells = [_number(each.measures.get(name)) for name in names]
        source = {None: "–", True: "yes", False: "no"}[each.source]
        table.add_row(str(place), str(each.id), *cells, source)
    console = _console()
    console.print(table)
    for line in (_by_layer(found), _sources(found), *_counts(found.settings)):
        if line:
            console.print(escape(line), highlight=False, soft_wrap=True)


def print_tokens(found: "TokenCounts", show_tokens: bool) -> None:
    """Print the counts of chosen neurons and of the control, and of each of the first neurons."""
    from detox_bench.neurons.find.token_counts import spread

    settings = found.settings
    title = f"{found.chosen.model.name}: the top {settings.top} tokens of value vectors"
    caption = "Effective scripts: exp(entropy), the mean over neurons with its 95 % interval. "
    caption += "Languages of single tokens are guesses: compare with the control, no more."
    table = _table(title, caption, ("neurons", "", "effective scripts", "scripts", "languages"))
    names = (f"chosen: {found.chosen.source}", f"control: {settings.control}, same layers")
    for name, some in zip(names, (found.found, found.control), strict=True):
        table.add_row(escape(name), str(len(some)), *_spread_cells(spread(some)))
    table.add_section()
    for each in found.found[:_SHOWN]:
        table.add_row(f"  {each.neuron}", "", *_spread_cells(spread([each])))
    console = _console()
    console.print(table)
    if show_tokens:
        for each in found.found:
            shown = " ".join(t.text.strip() if t.whole else f"[{t.text}]" for t in each.tokens)
            console.print(f"{each.neuron}  {escape(shown)}", highlight=False, soft_wrap=True)


def print_change(found: "ActivationChange", rows: Sequence[ComparisonRow]) -> None:
    """Print a row a language, and their means last."""
    from detox_bench.neurons.find.activation_change import change_of

    before, after = found.before.model.name, found.after.model.name
    title = f"{before} → {after}: activation of {len(found.chosen.neurons)} neurons"
    caption = f"Mean over {found.tokens} greedy tokens, up to the one that ends a text. Difference "
    caption += "with its paired 95 % interval over prompts (of means: over the items that "
    caption += "languages share), * where that is below zero; p of a sign-flip test, Holm over "
    caption += "languages. Control: as many other neurons of the same layers."
    headings = ["language", "prompts", "before", "after", "difference", "95 % interval", "p"]
    control = {row.language: change_of(row) for row in found.control_rows()}
    table = _table(title, caption, headings + ["control's"] * bool(control))
    for row in rows:
        if row.language == MEAN:
            table.add_section()
        cells = [_name(row.language), str(row.n_prompts), *_change_cells(change_of(row))]
        table.add_row(*cells, *([_control_cell(control[row.language])] if control else []))
    console = _console()
    console.print(table)
    languages = [row for row in rows if row.language not in (MEAN, OTHERS)]
    lower = sum(change_of(row).lower for row in languages)
    console.print(f"{lower} of {len(languages)} languages below zero.", highlight=False)
    if any(row.n_prompts < FEWEST for row in rows):
        console.print(f"[yellow]Doubtful:[/yellow] intervals over fewer than {FEWEST} prompts.")


def _change_cells(change: Change) -> tuple[str, ...]:
    p = change.p if math.isnan(change.p_holm) else change.p_holm
    star = "*" if change.lower else " "
    return (
        f"{change.base:+.4f}",
        f"{change.other:+.4f}",
        f"{change.difference.estimate:+.4f}{star}",
        _bounds(change.difference, "+.4f"),
        f"{p:.4f}",
    )


def _control_cell(change: Change) -> str:
    return f"{change.difference.estimate:+.4f}{'*' if change.lower else ' '}"


def _console() -> Console:
    return Console(width=None if Console().is_terminal else _WIDTH)


def _table(title: str, caption: str, headings: Sequence[str]) -> Table:
    table = Table(title=escape(title), caption=caption, box=_BOX, caption_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place and heading not in _WORDS else "left")
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _by_layer(found: "FoundNeurons") -> str:
    counts = Counter(each.id.layer for each in found.neurons)
    layers = found.base_model.layers
    return f"By layer, 0 to {layers - 1}: {' '.join(str(counts[n]) for n in range(layers))}."


def _sources(found: "FoundNeurons") -> str:
    if not found.neurons or found.neurons[0].source is None:
        return ""
    count = sum(bool(each.source) for each in found.neurons)
    prompts = found.settings["prompts"]
    return (
        f"{count} of {len(found.neurons)} are actual sources: a mean activation above 0 over "
        f"{found.settings['tokens']} greedy tokens of {prompts['n']} prompts "
        f"({prompts['name']} {prompts['subset']}, {prompts['language']})."
    )


def _counts(settings: Mapping[str, Any]) -> list[str]:
    """Return what is to be known of the ranking, in words."""
    lines = []
    if "value_vectors" in settings:
        zero = settings["zero_vectors"]
        also = f"; {zero:,} are zero and have no cosine" if zero else ""
        lines.append(f"{settings['value_vectors']:,} value vectors{also}.")
    if settings.get("post_norm"):
        lines.append("This architecture normalises what an MLP wrote: cosines are before that.")
    if "data" in settings:
        data = settings["data"]
        lines.append(
            f"AUROC on {data['n_toxic']:,} toxic and {data['n_other']:,} other texts: "
            f"{data['above_half']:,} neurons above 0.5; the number of tokens alone has "
            f"{data['auroc_of_length']:.3f}, and maxima grow with it."
        )
    if forced := settings.get("probe", {}).get("forced"):
        lines.append(f"Forced: the probe is of another model, {forced}.")
    return lines


def _spread_cells(spread: "Spread") -> tuple[str, str, str]:
    scripts, n = spread.scripts, spread.n_tokens
    effective = spread.effective_scripts
    number = "–" if math.isnan(effective.estimate) else f"{effective.estimate:.2f}"
    without = {"none": n - scripts.total()}
    undetermined = {"undetermined": spread.undetermined}
    cells = _kinds(scripts, without, n), _kinds(spread.languages, undetermined, n)
    return f"{number} {_bounds(effective, '.2f')}".strip(), *cells


def _kinds(counts: Counter[str], rest: Mapping[str, int], total: int) -> str:
    """Return the most frequent kinds with their shares, and what is of none."""
    common = counts.most_common(_KINDS)
    left = counts.total() - sum(count for _, count in common)
    shown = [*common, *([("others", left)] if left else []), *rest.items()]
    return escape(", ".join(f"{_spelled(name)} {n / total:.0%}" for name, n in shown if n))


def _spelled(name: str) -> str:
    """Return the Unicode name of a script as people write it; codes of languages stay."""
    return name.capitalize() if name.isupper() and name != "CJK" else name


def _bounds(interval: Interval, pattern: str) -> str:
    if math.isnan(interval.low):
        return ""
    return f"[dim]{interval.low:{pattern}} to {interval.high:{pattern}}[/dim]"


def _name(code: str) -> str:
    row = LANGUAGES.get(code)
    names = {OTHERS: f"mean but {SOURCE}"}
    return f"{code} {row.name.split(',')[0].split(' (')[0]}" if row else names.get(code, code)
