"""Table 2 of arXiv 2406.16235 (Li, Yong, Bach 2024): six base models before and after DPO.

To support another line, add a model to ``paper_table2.json``: ``names`` are its Hub ids without the
owner, which are what its folder is called as well.
"""

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Any

from detox_bench.reports.content import PaperLine

TABLE_FILE = "paper_table2.json"


def paper_line(model_name: str | None) -> PaperLine | None:
    """Return the paper's numbers for a base model by its Hub id or folder; None where it has none.

    The last part of the name has to be that of the model, capital letters aside: ``mini-mgpt`` is
    not ``mGPT``. Metrics go by our names, percentages are fractions.
    """
    parts = [part for part in re.split(r"[/\\]", model_name or "") if part]
    return _lines().get(parts[-1].casefold()) if parts else None


@lru_cache(maxsize=1)
def _lines() -> dict[str, PaperLine]:
    """Return the line of each name in small letters."""
    text = files("detox_bench.reports").joinpath(TABLE_FILE).read_text(encoding="utf-8")
    models = json.loads(text)["models"]
    return {name.casefold(): _line(model) for model in models for name in model["names"]}


def _line(model: dict[str, Any]) -> PaperLine:
    return PaperLine(model["model"], model["tuning"], model["before"], model["after"])
