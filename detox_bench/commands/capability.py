"""``detox-bench capability``: what a detoxification cost, on lm-eval's own tasks."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detox_bench.errors import DetoxBenchError
from detox_bench.runs import check_files, check_writable, write_json

if TYPE_CHECKING:
    from detox_bench.capability import Capability
    from detox_bench.harness.capability import MeasuredModel, Settings

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_SCHEMA = 1
_EXAMPLES = (
    "Examples:\n\n"
    "`detox-bench capability ./base ./dpo --languages vi,ru --output out --json cost.json`\n\n"
    "`detox-bench capability ./base ./base --intervention edit.json --tasks "
    "arc,m_mmlu_de,flores_translation --limit 200`"
)


@app.command(epilog=_EXAMPLES)
def main(
    base: Annotated[str, typer.Argument(help="The model before: a folder or a name on the Hub.")],
    model: Annotated[str, typer.Argument(help="The model after; BASE again for an intervention.")],
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Families (`arc`, `hellaswag`, `mmlu`, `flores_translation`), and any tasks, "
            "groups and patterns of lm-eval, by commas; all families if not given."
        ),
    ] = None,
    languages: Annotated[
        str, typer.Option(help="The languages of the families, by lm-eval's codes.")
    ] = "vi,ru,hi,zh",
    intervention: Annotated[
        Path | None, typer.Option(help="An edit of neurons to put on MODEL.")
    ] = None,
    peft: Annotated[str | None, typer.Option(help="An adapter to put on MODEL.")] = None,
    limit: Annotated[
        int | None, typer.Option(help="Ask the first N documents of each task only.")
    ] = None,
    batch_size: Annotated[str, typer.Option("--batch_size", help="A number, or `auto`.")] = "16",
    num_fewshot: Annotated[
        int | None, typer.Option("--num_fewshot", help="Examples; those of each task if not given.")
    ] = None,
    include_path: Annotated[
        list[Path] | None, typer.Option("--include_path", help="A folder of more task files.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Keep results here: nothing kept is asked again.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything to this file, for the report.")
    ] = None,
) -> None:
    """Compare a model with its base on lm-eval's tasks, document by document.

    The families are Okapi's translations of ARC, HellaSwag and MMLU, as in the paper's Table 3, and
    translation of FLORES-200 where it is prepared. A name of a family means the family: the task
    `hellaswag` of lm-eval, English, is `'hellaswa[g]'`.
    """
    _check(limit, batch_size, num_fewshot, output, json_file)
    from detox_bench.capability import pair
    from detox_bench.commands.capability_table import print_capability
    from detox_bench.harness.capability import AskedModel, Settings, check_model, measure_model
    from detox_bench.harness.capability_tasks import load_tasks

    before, after = AskedModel(base), AskedModel(model, peft, intervention)
    for each in (before, after):
        check_model(each)
    loaded = load_tasks(
        _list(tasks, "tasks") if tasks is not None else None,
        _list(languages, "languages"),
        include_path or [],
        num_fewshot,
    )
    settings = Settings(limit, batch_size, num_fewshot)
    one, other = (measure_model(each, loaded.tasks, settings, output) for each in (before, after))
    found = pair(one.results, other.results, loaded.families)
    print_capability(_title(before.name, after.name, settings), found, loaded.remarks)
    if json_file is not None:
        write_json(json_file, capability_json(one, other, found, settings, loaded.remarks))


def capability_json(
    base: "MeasuredModel",
    model: "MeasuredModel",
    found: "Capability",
    settings: "Settings",
    remarks: list[str],
) -> Mapping[str, Any]:
    """Return a comparison as the JSON that the report reads."""
    from importlib.metadata import version

    from detox_bench import __version__
    from detox_bench.capability import as_json, verdict, warnings

    return {
        "kind": "capability",
        "schema": _SCHEMA,
        "base": base.as_json(),
        "model": model.as_json(),
        "tasks": as_json(found.tasks),
        "means": as_json(found.means),
        "verdict": verdict(found)._asdict(),
        "settings": asdict(settings),
        "versions": {"lm_eval": version("lm_eval"), "detox_bench": __version__},
        "remarks": [*remarks, *warnings(found)],
    }


def _check(
    limit: int | None,
    batch_size: str,
    num_fewshot: int | None,
    output: Path | None,
    json_file: Path | None,
) -> None:
    """Refuse what could only fail later, before anything is loaded."""
    if limit is not None and limit < 1:
        raise DetoxBenchError(f"--limit {limit} leaves no document. Give 1 or more.")
    if num_fewshot is not None and num_fewshot < 0:
        raise DetoxBenchError(f"--num_fewshot {num_fewshot} is no number of examples.")
    if batch_size != "auto" and not (batch_size.isdecimal() and int(batch_size)):
        raise DetoxBenchError(f"--batch_size {batch_size!r}: give a whole number above 0, or auto.")
    if output is not None:
        check_writable(output)
    check_files(json_file)


def _list(text: str, option: str) -> list[str]:
    found = [each.strip() for each in text.split(",") if each.strip()]
    if not found:
        raise DetoxBenchError(f"--{option} names nothing. Give names with commas between them.")
    return list(dict.fromkeys(found))


def _title(base: str, model: str, settings: "Settings") -> str:
    limit = "" if settings.limit is None else f", first {settings.limit} documents"
    return f"{base} → {model}{limit}"
