"""Distinct-n of several continuations a prompt, as a module of Hugging Face evaluate."""

from typing import Any

import datasets
import evaluate

from detox_bench.metrics import distinct_n, mean_of_known

_DESCRIPTION = """
Distinct-1, -2 and -3: the share of different n-grams among those of all continuations of a prompt,
averaged over prompts.
"""
_INPUTS = """
Args:
    predictions: list of lists of texts, one list a prompt.
    spaced: False for scripts written without spaces: characters are counted instead of words.
    denominator: "ngrams", or "tokens" as in the code of arXiv 2406.16235.
Returns:
    distinct_1, distinct_2, distinct_3: None if there is nothing to count.
"""
_CITATION = """
@inproceedings{li-etal-2016-diversity,
  title={A Diversity-Promoting Objective Function for Neural Conversation Models},
  author={Li, Jiwei and Galley, Michel and Brockett, Chris and Gao, Jianfeng and Dolan, Bill},
  booktitle={NAACL},
  year={2016}
}
"""


class DistinctN(evaluate.Metric):  # type: ignore[misc]
    """Distinct-1, -2 and -3 of ``detox_bench.metrics``."""

    def _info(self) -> evaluate.MetricInfo:
        features = datasets.Features({"predictions": datasets.Sequence(datasets.Value("string"))})
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=features,
        )

    def _compute(
        self, predictions: list[list[str]], spaced: bool = True, denominator: str = "ngrams"
    ) -> dict[str, Any]:
        return {
            f"distinct_{n}": mean_of_known(
                [distinct_n(texts, n, spaced, denominator) for texts in predictions]
            )
            for n in (1, 2, 3)
        }
