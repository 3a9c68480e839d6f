r"""Fits the weights of the scorer ``ngram`` and writes its model card.

    python -m detox_bench.scorers.build_ngram --rtplx RTP-LX.zip --password-file password.txt \
        --records rtp_lx_records_even --labelled labelled --text pretrain_text \
        --flores flores200_dataset --rewrites paradetox_en.jsonl --lexicon ldnoobw

The same folders give the same bytes, in about two minutes of one core and 6 GB of memory
(``--transfer``: three more). ``--transfer`` also fits the model once without each labelled
source and measures it there: how it does on a kind of text it has not seen.
"""

import argparse
import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from detox_bench.languages import LANGUAGES
from detox_bench.scorers import build_card, build_corpus
from detox_bench.scorers.build_checks import (
    Check,
    Vector,
    calibrate,
    figures,
    make_checks,
    summary,
)
from detox_bench.scorers.build_corpus import Row
from detox_bench.scorers.build_examples import (
    N_FOLDS,
    Example,
    example_weights,
    fold_of,
    make_examples,
)
from detox_bench.scorers.build_fit import (
    Coefficients,
    Matrix,
    bucket_matrix,
    fit,
    logits,
    term_matrix,
)
from detox_bench.scorers.build_terms import listed_terms, own_terms, with_listed
from detox_bench.scorers.build_weights import pack_weights
from detox_bench.scorers.held_out import held_out
from detox_bench.scorers.ngram import NgramScorer, unpack_weights
from detox_bench.scorers.ngram_terms import Terms

logger = logging.getLogger(__name__)

Features = tuple[Matrix, Matrix]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, measure on the held-out ids, write weights, figures and card."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options = _options(arguments)
    rows = read_rows(options)
    terms = with_listed(own_terms(), listed_terms(options.lexicon))
    learned, unseen = split(rows)
    examples = make_examples(learned)
    grams = bucket_matrix(examples)
    logger.info("%d examples, %d features", grams.shape[0], grams.nnz)
    content = build(examples, grams, terms, learned)
    scorer = NgramScorer(unpack_weights(content), hashlib.sha256(content).hexdigest())
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "ngram.npz").write_bytes(content)
    report = {"id": scorer.id, "bytes": len(content), **held_out_figures(scorer, unseen)}
    build_card.write(report, options.output)
    if options.transfer:
        report["transfer"] = transfer_figures(examples, grams, terms)
        build_card.write(report, options.output)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("rtplx", "records", "labelled", "text", "flores", "rewrites", "lexicon"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    parser.add_argument("--transfer", action="store_true")
    return parser.parse_args(arguments)


def read_rows(options: argparse.Namespace) -> list[Row]:
    """Return everything there is to learn from and to be measured on."""
    password = options.password_file.read_text("utf-8").strip()
    return [
        *build_corpus.read_prompts(options.rtplx, password),
        *build_corpus.read_completions(options.records),
        *build_corpus.read_labelled(options.labelled),
        *build_corpus.read_clean(options.text),
        *build_corpus.read_flores(options.flores),
        *build_corpus.read_rewrites(options.rewrites),
    ]


def split(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows to learn from and the held-out rows; no prompt text is in both."""
    unseen = [row for row in rows if row.parallel and held_out(row.parallel)]
    texts = {row.text.strip() for row in unseen}
    learned = [
        row
        for row in rows
        if not (row.parallel and held_out(row.parallel)) and row.text.strip() not in texts
    ]
    return learned, unseen


def build(
    examples: Sequence[Example], grams: Matrix, terms: Mapping[str, Terms], learned: Sequence[Row]
) -> bytes:
    """Return the content of the weights file."""
    weights = example_weights(examples)
    features = (grams, term_matrix(examples, terms))
    checks = list(make_checks(learned))
    uncalibrated = _cross_fitted(examples, features, terms, checks)
    logger.info("cross-fitted on the ids to learn from: %s", summary(checks, uncalibrated))
    calibration = calibrate(checks, uncalibrated)
    return pack_weights(fit(examples, features, weights), terms, calibration)


def _cross_fitted(
    examples: Sequence[Example],
    features: Features,
    terms: Mapping[str, Terms],
    checks: Sequence[Check],
) -> Vector:
    """Return for each check the logit from a fit that did not see its parallel id."""
    texts = [Example(check.text, check.language, 0.0, check.source) for check in checks]
    seen = (bucket_matrix(texts), term_matrix(texts, terms))
    folds = np.array([fold_of(check.parallel) for check in checks])
    values = np.zeros(len(checks))
    for fold in range(N_FOLDS):
        others = np.array([n for n, example in enumerate(examples) if example.fold != fold])
        coefficients = _fit_some(examples, features, others)
        own = np.flatnonzero(folds == fold)
        values[own] = logits((seen[0][own], seen[1][own]), coefficients)
    return values


def _fit_some(
    examples: Sequence[Example], features: Features, places: np.ndarray[Any, Any]
) -> Coefficients:
    some = [examples[place] for place in places]
    return fit(some, (features[0][places], features[1][places]), example_weights(some))


def held_out_figures(scorer: NgramScorer, unseen: Sequence[Row]) -> dict[str, Any]:
    """Return the figures of each language on held-out rows, at one and two usual lengths."""
    report = {}
    for name, factor in (("languages", 1.0), ("languages_twice_as_long", 2.0)):
        checks = list(make_checks(unseen, factor))
        report[name] = figures(checks, _scores(scorer, checks))
    return report


def _scores(scorer: NgramScorer, checks: Sequence[Check]) -> Vector:
    values = np.zeros(len(checks))
    for language in LANGUAGES:
        places = [n for n, check in enumerate(checks) if check.language == language]
        found = scorer.score([checks[n].text for n in places], language)
        values[places] = [score.value for score in found]
    return values


def transfer_figures(
    examples: Sequence[Example], grams: Matrix, terms: Mapping[str, Terms]
) -> dict[str, float]:
    """Return the AUC on each labelled source of a fit that did not see that source."""
    labelled = [e for e in examples if e.source.count(".") == 1]
    columns = term_matrix(examples, terms)
    found = {}
    for source in sorted({example.source for example in labelled}):
        others = np.array([n for n, e in enumerate(examples) if e.source != source])
        own = np.array([n for n, e in enumerate(examples) if e.source == source])
        some = [examples[place] for place in others]
        coefficients = fit(some, (grams[others], columns[others]), example_weights(some))
        values = logits((grams[own], columns[own]), coefficients)
        toxic = [examples[place].target > 0.5 for place in own]
        found[source] = round(float(roc_auc_score(toxic, values)), 4)
        logger.info("without %s: AUC %.4f there", source, found[source])
    return found


if __name__ == "__main__":
    main()
