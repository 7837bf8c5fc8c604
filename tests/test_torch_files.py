"""Files of torch weights are read without torch exactly as torch reads them, and nothing in them is run."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from streamer.torch_files import _Unpickler, read_state


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "pickles"])
def test_both_formats_give_the_tensors_that_were_saved(tmp_path: Path, is_zip: bool) -> None:
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {
        "whole": whole,
        "turned": whole.T,  # the same storage, other strides
        "part": whole[1:3, 2:5],  # the same storage, from within
        "counter": torch.tensor(7),
        "other": torch.full((2, 1, 3), -0.5),
    }
    torch.save(state, tmp_path / "weights.pt", _use_new_zipfile_serialization=is_zip)
    read = read_state(tmp_path / "weights.pt")
    assert list(read) == list(state)
    for name, tensor in state.items():
        assert np.array_equal(read[name], tensor.numpy()), name
        assert read[name].dtype == tensor.numpy().dtype


def test_a_module_s_own_state_is_read(tmp_path: Path) -> None:
    """It is an OrderedDict with an attribute, which a plain dictionary is not."""
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2))
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    read = read_state(tmp_path / "weights.pt")
    assert set(read) == set(module.state_dict())
    assert np.array_equal(read["0.weight"], module.state_dict()["0.weight"].numpy())


class _Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this was run",)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "pickles"])
def test_what_a_file_says_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], is_zip: bool) -> None:
    torch.save({"weight": _Hostile()}, tmp_path / "weights.pt", _use_new_zipfile_serialization=is_zip)
    with pytest.raises(pickle.UnpicklingError, match="has no place in a weights file"):
        read_state(tmp_path / "weights.pt")
    assert capsys.readouterr().out == ""


def test_only_a_weights_file_s_own_names_are_unpickled() -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"has no place"):
        _Unpickler(io.BytesIO(pickle.dumps(print))).load()
