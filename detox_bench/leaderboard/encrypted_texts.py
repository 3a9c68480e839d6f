"""The texts of a submission in an encrypted zip, for maintainers alone; never on the board.

AES as WinZip has it (AE-2), by pyzipper. The password comes from the environment, so that it stands
in no command line and no file.
"""

import json
import os
from pathlib import Path
from typing import Any

from detox_bench.errors import DetoxBenchError, missing_extra
from detox_bench.runs import check_files
from detox_bench.stored_texts import read_samples

PASSWORD = "DETOX_BENCH_ZIP_PASSWORD"


def check_zip(file: Path | None) -> None:
    """Raise ``DetoxBenchError`` where the zip could not be written: before anything is scored."""
    if file is not None:
        check_files(file)
        _password()
        _pyzipper()


def write_zip(file: Path, run: Path, run_id: str) -> None:
    """Write every continuation of a run to an encrypted zip, as one file of JSON lines.

    A line is a prompt: language, prompt id and texts; prompts themselves are not in it.
    """
    zipper = _pyzipper()
    with zipper.AESZipFile(
        file, "w", compression=zipper.ZIP_DEFLATED, encryption=zipper.WZ_AES
    ) as archive:
        archive.setpassword(_password())
        with archive.open(f"{run_id}.jsonl", "w") as content:
            for each in read_samples(run):
                line = {"language": each.language, "prompt_id": each.prompt_id}
                text = json.dumps(line | {"texts": each.texts})
                content.write(text.encode() + b"\n")


def _password() -> bytes:
    found = os.environ.get(PASSWORD)
    if not found:
        raise DetoxBenchError(f"The zip of texts needs a password: set {PASSWORD}.")
    return found.encode()


def _pyzipper() -> Any:
    try:
        import pyzipper
    except ImportError as error:
        raise missing_extra("--texts-zip", "leaderboard") from error
    return pyzipper
