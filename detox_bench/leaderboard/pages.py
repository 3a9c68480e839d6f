"""The pages of the site, from templates: a board for each list and track, a page a model."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple
from urllib.parse import quote

from jinja2 import Environment, FunctionLoader
from markupsafe import Markup

from detox_bench import __version__
from detox_bench.leaderboard import model_tables, shown
from detox_bench.leaderboard.board_cells import (
    COLUMNS,
    change_cell,
    counted_cell,
    rank_words,
    uncounted_words,
)
from detox_bench.leaderboard.board_figures import MARKS, perplexity_scatter, retrieval_scatter
from detox_bench.leaderboard.board_rows import anchor, board_groups, page_of
from detox_bench.leaderboard.entries import BADGES, Entry
from detox_bench.leaderboard.heat_map import heat_rows
from detox_bench.leaderboard.ranking import Ranking, Row
from detox_bench.leaderboard.reading import read_reproduction
from detox_bench.leaderboard.specification import Specification
from detox_bench.leaderboard.table_markup import table_markup
from detox_bench.leaderboard.tied_models import TiedModels, tied_models
from detox_bench.reports.cells import Cell, short_name
from detox_bench.reports.html import environment, policy_hash, read_template
from detox_bench.reports.toxicity_tables import ICONS
from detox_bench.verdicts import VERDICTS

#: So many rows have a line in the heat map of the board; all are in the data and on their pages.
_HEAT_ROWS = 60
#: Of JSON shown on a page, so many letters; the whole is in the submission.
_LONGEST_JSON = 20_000
_COMMIT = 40


class Site(NamedTuple):
    """What all pages are made of; ``date`` and ``commit`` are those of the build."""

    suite: Specification
    rankings: Sequence[Ranking]
    removed: Sequence[Entry]
    date: str | None
    commit: str | None

    @property
    def main(self) -> Ranking:
        """The ranking that is shown first: most ranked rows, the suite's order where equal."""
        return max(self.rankings, key=lambda each: (each.prompt_list != "sample", len(each.ranked)))


class Run(NamedTuple):
    """A run on its model's page."""

    row: Row
    anchor: str
    title: str
    rank: tuple[str, str]
    ties: TiedModels | None
    counted: Cell
    change: Cell
    uncounted: str
    revision_link: str | None
    base_link: str | None
    forest: Markup | None
    tables: Mapping[str, Any]
    json: Mapping[str, str]
    command: str | None


def render_board(site: Site, ranking: Ranking) -> str:
    """Return the page of a list and track; it needs nothing else, and works without JavaScript."""
    groups = board_groups(ranking)
    rows = [row for group in groups for row in group.rows]
    codes = site.suite.languages
    heat = heat_rows(ranking, codes)
    return _render(
        "board.html.j2",
        site,
        root="",
        ranking=ranking,
        files=[(file_of(each), _title(site, each), each is ranking) for each in site.rankings],
        groups=groups,
        n_rows=len(rows),
        most_rows=max(len(group.rows) for group in groups),
        columns=COLUMNS,
        heat=heat[:_HEAT_ROWS],
        n_changes=len(heat),
        codes=codes,
        languages={code: short_name(code) for code in codes},
        methods=sorted({row.method for row in rows}),
        licences=sorted({row.licence for row in rows if row.licence}),
        sizes={name: words for name, (words, _) in shown.SIZES.items()},
        badges=BADGES,
        perplexity=perplexity_scatter(ranking, site.suite.band.most_perplexity),
        retrieval=retrieval_scatter(ranking),
        marks=MARKS,
        icons=ICONS,
        prompts=site.suite.lists[ranking.prompt_list],
        track=site.suite.tracks[ranking.track],
    )


def render_model(site: Site, name: str, rows: Sequence[Row]) -> str:
    """Return the page of a model with all its runs."""
    runs = [_run(site, row) for row in rows]
    return _render(
        "model.html.j2",
        site,
        root="../",
        name=shown.text_of(name),
        url=rows[0].entry.submission.model.url,
        runs=runs,
        table=table_markup,
        badges=BADGES,
        verdicts=VERDICTS,
    )


def file_of(ranking: Ranking) -> str:
    """Return the file of a ranking's page, which never changes."""
    return f"{ranking.prompt_list}-{ranking.track}.html"


def _render(template: str, site: Site, **values: object) -> str:
    style = read_template("report.css") + _template("board.css")
    script = read_template("page.js") + _template("board.js")
    return (
        _environment()
        .get_template(template)
        .render(
            site=site,
            version=__version__,
            text=shown.text_of,
            style=Markup(style),
            script=Markup(script),
            style_hash=policy_hash(style),
            script_hash=policy_hash(script),
            **values,
        )
    )


_MADE: list[Environment] = []


def _environment() -> Environment:
    """Return what renders; templates are compiled once."""
    if not _MADE:
        made = environment()
        made.loader = FunctionLoader(_template)
        _MADE.append(made)
    return _MADE[0]


def _template(name: str) -> str:
    """Return a template of the board, or one that it shares with the report."""
    own = files("detox_bench.leaderboard").joinpath("templates", name)
    return own.read_text("utf-8") if own.is_file() else read_template(name)


def _title(site: Site, ranking: Ranking) -> str:
    track = f" · {site.suite.tracks[ranking.track].title}" if len(site.suite.tracks) > 1 else ""
    return f"{site.suite.lists[ranking.prompt_list].title}{track}"


def _run(site: Site, row: Row) -> Run:
    stated, entry = row.entry.submission, row.entry
    reproduction, _ = read_reproduction(entry.folder)
    command = reproduction.get("command")
    return Run(
        row,
        anchor(entry),
        f"{site.suite.lists[stated.prompt_list].title}: {stated.method.kind}",
        rank_words(row),
        tied_models(row, site.rankings),
        counted_cell(row),
        change_cell(row),
        uncounted_words(row),
        _revision_link(entry),
        f"../{page_of(row.base)}#{anchor(row.base)}" if row.base else None,
        model_tables.change_forest(stated, row.counted, anchor(entry)),
        {
            "toxicity": model_tables.toxicity_table(stated),
            "quality": model_tables.quality_table(stated),
            "scorer": model_tables.scorer_table(stated),
            "signatures": model_tables.signatures_table(stated),
        },
        _json_blocks(entry, reproduction),
        shown.text_of(command) if isinstance(command, str) else None,
    )


def _json_blocks(entry: Entry, reproduction: Mapping[str, Any]) -> dict[str, str]:
    """Return the JSON that is shown folded, by its heading."""
    stated = entry.submission
    found = {
        "Recipe of the training": stated.method.recipe,
        "Intervention on neurons": stated.method.intervention,
        "Retrieval, by language": stated.retrieval,
        "How it was made (repro.json)": dict(reproduction),
        "Generation, identity, versions": {
            "generation": stated.generation,
            "identity": stated.identity,
            "versions": stated.versions,
        },
    }
    return {heading: _readable(value) for heading, value in found.items() if value}


def _readable(value: Any) -> str:
    """Return JSON to read: what hides or turns text is escaped, what is long is cut."""
    written = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True)
    more = len(written) - _LONGEST_JSON
    cut = f"\n… {more:,} more letters in the submission"
    return written if more <= 0 else written[:_LONGEST_JSON] + cut


def _revision_link(entry: Entry) -> str | None:
    """Return the revision on the Hub; None for local weights and reference rows."""
    model = entry.submission.model
    if entry.reference or len(model.revision) != _COMMIT:
        return None
    return f"https://huggingface.co/{quote(model.name)}/tree/{model.revision}"
