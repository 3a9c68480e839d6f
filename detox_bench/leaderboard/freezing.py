"""The frozen files: the prompt lists of ``benchmark.yaml``, and the schema of a submission.

``python -m detox_bench.leaderboard.freezing --write`` writes them, ``--check`` says whether they
are up to date. The lists follow from a prepared data store: lists whose prompts are not prepared
are left as they are, and not checked. To freeze another list, add a row to ``LISTS``.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from detox_bench.data.prompts import PromptSet, load_prompts
from detox_bench.errors import BadData, DetoxBenchError
from detox_bench.leaderboard.content import digest_of_asked, digest_of_ids
from detox_bench.leaderboard.specification import load_specification
from detox_bench.leaderboard.submission import Submission
from detox_bench.locations import package_folder
from detox_bench.runs import digest
from detox_bench.types import Prompt

_COMMAND = "python -m detox_bench.leaderboard.freezing --write"
_LISTS = "\nlists:"


class Frozen(NamedTuple):
    """Which prompts a list has: a source and subset of ``data.prompts``, the first ``limit``."""

    title: str
    source: str
    release: str
    subset: str
    limit: int | None


LISTS: Mapping[str, Frozen] = {
    "full": Frozen("RTP-LX v0.3, all prompts", "rtplx", "v0.3", "all", None),
    "quick": Frozen("RTP-LX v0.3, the first 100 of odd Index", "rtplx", "v0.3", "odd", 100),
    "sample": Frozen("The packaged sample set, for trying", "sample", "1", "all", None),
}


def list_prompts(name: str, language: str) -> tuple[Prompt, ...]:
    """Return the prompts of one language of a list, in the order of the data set.

    Raises as ``load_prompts``, and ``BadData`` for another release of the data set.
    """
    row = LISTS[name]
    return _of_release(row, load_prompts(language, row.source, row.subset)).prompts[: row.limit]


def frozen_list(name: str, languages: list[str]) -> dict[str, Any]:
    """Return a list as ``benchmark.yaml`` has it (``PromptList``); raises as ``list_prompts``.

    What is asked is the digest of each prompt's text as it stands, with nothing around it.
    """
    row = LISTS[name]
    prompts = {code: list_prompts(name, code) for code in languages}
    asked = {code: [(p.id, digest(p.text)) for p in found] for code, found in prompts.items()}
    return {
        "title": row.title,
        "prompts": f"{row.source}-{row.release}-{row.subset}",
        "n_prompts": {code: len(found) for code, found in prompts.items()},
        "sha256": {code: digest_of_ids(p.id for p in found) for code, found in prompts.items()},
        "asked_sha256": {code: digest_of_asked(pairs) for code, pairs in asked.items()},
    }


def schema() -> str:
    """Return the JSON schema of ``submission.json`` as a file has it."""
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(about | Submission.model_json_schema(), indent=1, sort_keys=True) + "\n"


def files() -> dict[str, str]:
    """Return the content that each frozen file should have, by its name in ``leaderboard/``."""
    return {
        "benchmark.yaml": _specification(_folder() / "benchmark.yaml"),
        "schema/submission.schema.json": schema(),
    }


def main(arguments: list[str]) -> None:
    """Write the files, or with ``--check`` raise ``DetoxBenchError`` if they are out of date."""
    wanted, folder = files(), _folder()
    stale = [name for name, text in wanted.items() if _text(folder / name) != text]
    if "--write" in arguments:
        for name in stale:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(wanted[name], "utf-8")
    elif stale:
        raise DetoxBenchError(f"Out of date: {', '.join(stale)}. Run: {_COMMAND}")


def _specification(file: Path) -> str:
    """Return the file with the lists whose prompts are prepared made anew, the rest as it is."""
    before, found, _ = file.read_text("utf-8").partition(_LISTS)
    if not found:
        raise BadData(f"{file} has no line 'lists:' at its end. Restore it.")
    suite = load_specification(file)
    lists = {name: each.model_dump() for name, each in suite.lists.items()}
    for name in LISTS:
        try:
            lists[name] = frozen_list(name, suite.languages)
        except BadData:
            if name not in lists:
                raise
    ordered = {name: lists[name] for name in LISTS}
    text = yaml.safe_dump({"lists": ordered}, sort_keys=False, width=100, default_flow_style=False)
    return f"{before}\n{text}"


def _of_release(row: Frozen, found: PromptSet) -> PromptSet:
    if found.release != row.release:
        raise BadData(
            f"The prepared {row.source} is release {found.release}, and the list has "
            f"{row.release}. Prepare that one: `detox-bench data rtplx SOURCE`."
        )
    return found


def _folder() -> Path:
    return package_folder("detox_bench.leaderboard_data")


def _text(file: Path) -> str | None:
    return file.read_text("utf-8") if file.is_file() else None


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except DetoxBenchError as error:
        sys.exit(str(error))
