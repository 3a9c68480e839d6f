"""Key-value caches that many continuations of one prompt share.

``share`` gives each row of a batch its prompt's cache, with room for the tokens to come, so that a
step writes one position instead of copying all of them. To support another kind of cache layer,
add a row to ``_SHARE``; a cache with any other layer (state space, quantised) is not ``shareable``.
"""

import copy
from collections.abc import Callable

from torch import Tensor
from transformers.cache_utils import (
    Cache,
    CacheLayerMixin,
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)


def shareable(cache: object) -> bool:
    """Return whether rows of ``cache`` can be repeated and selected."""
    return isinstance(cache, DynamicCache) and all(
        type(layer) in _SHARE or isinstance(layer, RoomyLayer) for layer in cache.layers
    )


def share(cache: Cache, rows: Tensor, room: int) -> Cache:
    """Return a cache with row ``rows[i]`` of ``cache`` as its row ``i``; ``cache`` stays as it is.

    Args:
        cache: A ``shareable`` cache over the prompts.
        rows: ``(n,)`` prompt numbers, repeated as often as the prompt has samples.
        room: How many positions will be added.
    """
    shared = copy.copy(cache)
    shared.layers = [_SHARE[type(layer)](layer, rows, room) for layer in cache.layers]
    return shared


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A key-value layer that writes into room reserved for it instead of growing by copies."""

    def __init__(self, layer: DynamicLayer, rows: Tensor, room: int) -> None:
        """Copy ``rows`` of ``layer`` and reserve ``room`` further positions."""
        super().__init__()
        self.is_initialized = True
        self.dtype, self.device = layer.keys.dtype, layer.keys.device
        self._length = layer.keys.shape[-2]
        self._keys, self._values = (
            _reserve(states, rows, room) for states in (layer.keys, layer.values)
        )
        self._expose()

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Write the new positions behind the old ones and return all, as the base class does."""
        end = self._length + key_states.shape[-2]
        self._keys[:, :, self._length : end] = key_states
        self._values[:, :, self._length : end] = value_states
        self._length = end
        self._expose()
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep only the rows ``indices``."""
        self._keys, self._values = self._keys[indices], self._values[indices]
        self._expose()

    def _expose(self) -> None:
        self.keys = self._keys[:, :, : self._length]
        self.values = self._values[:, :, : self._length]


def _reserve(states: Tensor, rows: Tensor, room: int) -> Tensor:
    """Return the chosen rows of ``(prompts, heads, length, width)`` with ``room`` more length."""
    _, heads, length, width = states.shape
    reserved = states.new_empty(len(rows), heads, length + room, width)
    reserved[:, :, :length] = states[rows]
    return reserved


def _select(layer: DynamicLayer, rows: Tensor, room: int) -> DynamicLayer:  # noqa: ARG001
    """Copy ``rows`` of a layer that keeps a window only and so never grows much."""
    selected = copy.copy(layer)
    selected.batch_select_indices(rows)
    return selected


_SHARE: dict[type, Callable[[CacheLayerMixin, Tensor, int], CacheLayerMixin]] = {
    DynamicLayer: RoomyLayer,
    DynamicSlidingWindowLayer: _select,
}
