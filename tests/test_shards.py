"""The writing of shards: bytes as they were, one tensor in memory at a time."""

import weakref

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from detox_bench.errors import BadIntervention
from detox_bench.neurons.fold.checkpoint import read_checkpoint
from detox_bench.neurons.fold.shards import Added, Changes, write_checkpoint


def written(tensors, changes, folder, metadata=None):
    """Return the file that ``changes`` make of ``tensors``, and the bytes of each piece."""
    (folder / "out").mkdir()
    save_file(tensors, folder / "model.safetensors", metadata)
    told = []
    write_checkpoint(read_checkpoint(folder), folder / "out", changes, told.append)
    return folder / "out" / "model.safetensors", told


MIXED = {
    "a": torch.arange(6, dtype=torch.float32).view(2, 3),
    "b": torch.arange(3, dtype=torch.bfloat16),
    "c": torch.arange(5, dtype=torch.uint8),
    "d": torch.tensor(7),
    "e": torch.zeros(0, 4),
    "f": torch.tensor([True, False, True]),
    "g": torch.arange(4).to(torch.float8_e4m3fn),
}


def test_nothing_changed_is_the_same_file_byte_for_byte(tmp_path):
    out, told = written(MIXED, Changes({}), tmp_path, {"format": "pt", "note": "kept"})
    assert out.read_bytes() == (tmp_path / "model.safetensors").read_bytes()
    assert sum(told) == sum(each.nbytes for each in MIXED.values())


def test_changed_and_added_tensors_are_where_they_belong(tmp_path):
    """An odd number of bytes is added before narrower types; every tensor still loads."""
    new = Added("b.bias", "b", (5,), lambda: torch.full((5,), 2.5))
    changes = Changes({"a": lambda: torch.ones(2, 3)}, (new,))
    out, _ = written(MIXED, changes, tmp_path)
    found = load_file(out)
    assert torch.equal(found.pop("a"), torch.ones(2, 3))
    assert torch.equal(found.pop("b.bias"), torch.full((5,), 2.5, dtype=torch.bfloat16))
    assert found.keys() == MIXED.keys() - {"a"}
    same = [
        torch.equal(each.view(torch.uint8), MIXED[name].view(torch.uint8))
        for name, each in found.items()
        if each.dim() and each.numel()
    ]
    assert all(same)
    with safe_open(out, "pt") as content:
        assert content.metadata() is None


def test_a_finer_type_changes_the_coarser_floats_only(tmp_path):
    out, _ = written(
        MIXED | {"w": torch.tensor([1.5], dtype=torch.float64)},
        Changes({}, (), torch.float32),
        tmp_path,
    )
    found = {name: each.dtype for name, each in load_file(out).items()}
    assert found == {name: each.dtype for name, each in MIXED.items()} | {
        "b": torch.float32,
        "w": torch.float64,
    }


def test_numbers_too_large_for_their_type_are_refused(tmp_path):
    half = {"a": torch.ones(2, dtype=torch.float16)}
    with pytest.raises(BadIntervention, match="too large for float16"):
        written(half, Changes({"a": lambda: torch.full((2,), 1e6)}), tmp_path)


def test_memory_stays_at_one_tensor(tmp_path):
    """Of 64 tensors, what is held at once is one, however many a shard has."""
    tensors = {f"t{n:02}": torch.full((64,), float(n)) for n in range(64)}

    class Counted:
        live = peak = 0

    def make(n):
        def made():
            tensor = torch.full((64,), float(-n))
            Counted.live += 1
            Counted.peak = max(Counted.peak, Counted.live)
            weakref.finalize(tensor, lambda: setattr(Counted, "live", Counted.live - 1))
            return tensor

        return made

    changes = Changes({name: make(n) for n, name in enumerate(tensors)})
    out, _ = written(tensors, changes, tmp_path)
    assert Counted.peak <= 2
    found = load_file(out)
    assert all(torch.equal(found[f"t{n:02}"], torch.full((64,), float(-n))) for n in range(64))
