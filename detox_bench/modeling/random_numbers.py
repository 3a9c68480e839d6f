"""One uniform number for each (seed, prompt, sample, position), whatever else is sampled beside it.

The numbers come from Philox4x64, a counter-based generator (Salmon et al., SC 2011): the key is a
hash of seed and prompt id, the counter holds the sample number, the position counts the outputs.
Nothing depends on batch size, on ``--limit``, on order, or on what was sampled before.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

_TO_UNIT = 2.0**-53  # 53 random bits make a double in [0, 1)


def uniforms(seed: int, prompt_id: str, sample: int, count: int) -> NDArray[np.float64]:
    """Return ``(count,)`` numbers in [0, 1) for the positions of one sample.

    A longer ``count`` begins with the numbers of a shorter one.
    """
    digest = hashlib.sha256(f"{seed}\x00{prompt_id}".encode("utf-8", "surrogatepass")).digest()
    key = np.frombuffer(digest[:16], dtype="<u8")
    bits = np.random.Philox(key=key, counter=[0, 0, sample, 0]).random_raw(count)
    return (bits >> np.uint64(11)).astype(np.float64) * _TO_UNIT
