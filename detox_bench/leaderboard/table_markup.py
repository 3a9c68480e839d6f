"""The tables of a model's page as HTML: what the report's template writes, a few times faster.

A board of a thousand models has half a million cells. A test compares the two, letter by letter;
links and bars, which no such table has, are left out.
"""

from collections.abc import Sequence

from markupsafe import Markup, escape

from detox_bench.reports.cells import Cell, Column, Row, Table
from detox_bench.reports.html import grouped, sort_key


def table_markup(table: Table) -> Markup:
    """Return a table with its notes; every text is escaped."""
    caption = escape(table.caption)
    sortable = ' class="sortable"' if table.sortable and len(table.rows) > 1 else ""
    foot = f"<tfoot>{_rows(table.foot, table.columns)}</tfoot>" if table.foot else ""
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    return Markup(
        f'<div class="scroll" role="region" aria-label="{caption}" tabindex="0"><table{sortable}>'
        f"<caption>{caption}</caption><thead>{_groups(table.columns)}{_headings(table.columns)}"
        f"</thead><tbody>{_rows(table.rows, table.columns)}</tbody>{foot}</table></div>{notes}"
    )


def _groups(columns: Sequence[Column]) -> str:
    if not any(column.group for column in columns):
        return ""
    cells = (
        f'<th scope="colgroup" colspan="{group.width}">{escape(group.heading)}</th>'
        if group.heading
        else f'<td colspan="{group.width}"></td>'
        for group in grouped(columns)
    )
    return f'<tr class="groups">{"".join(cells)}</tr>'


def _headings(columns: Sequence[Column]) -> str:
    return f'<tr class="headings">{"".join(map(_heading, columns))}</tr>'


def _heading(column: Column) -> str:
    kind = ' class="number"' if column.numeric else ""
    group = f' data-group="{escape(column.group)}"' if column.group else ""
    return f'<th scope="col"{kind}{group}>{escape(column.heading or "measure")}</th>'


def _rows(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    return "".join(_row(row, columns) for row in rows)


def _row(row: Row, columns: Sequence[Column]) -> str:
    search = f' data-search="{escape(row.search)}"' if row.search else ""
    muted = ' class="muted"' if row.muted else ""
    pairs = zip(row.cells, columns, strict=False)
    cells = (_cell(cell, column, place == 0) for place, (cell, column) in enumerate(pairs))
    return f"<tr{search}{muted}>{''.join(cells)}</tr>"


def _cell(cell: Cell, column: Column, head: bool) -> str:
    tag, scope = ("th", ' scope="row"') if head else ("td", "")
    kinds = ("number " if column.numeric else "") + (f"tone-{cell.tone}" if cell.tone else "")
    kind = f' class="{escape(kinds)}"' if kinds else ""
    language = f' lang="{escape(cell.language)}"' if cell.language else ""
    detail = f"<small><bdi{language}>{escape(cell.detail)}</bdi></small>" if cell.detail else ""
    key = escape(sort_key(cell, column.numeric))
    text = f'<span class="text"><bdi>{escape(cell.text)}</bdi></span>'
    return f'<{tag}{scope}{kind} data-sort="{key}">{text}{detail}</{tag}>'
