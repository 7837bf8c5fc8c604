"""Files of torch weights are read without torch exactly as torch reads them, and nothing in them is run."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import subprocess
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from streamer.torch_files import _Unpickler, read_checkpoint, read_state


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


class _Trainer:
    """Of a class that whoever reads the file does not have."""

    def __init__(self) -> None:
        self.rate, self.steps = 0.1, [1, 2]


class _Bag(list[object]):
    """A list and a dict of its own class, filled by opcodes of their own."""


class _Table(dict[str, object]):
    pass


def bombs(mark: Path) -> dict[str, object]:
    """Return objects whose pickles each would write to `mark`, by what does it."""

    class Reduced:
        def __init__(self, function: object, *words: object) -> None:
            self.call = function, words

        def __reduce__(self) -> tuple[object, ...]:
            return self.call

    command = f"touch {mark}"
    code = f"open({str(mark)!r}, 'w').close()"
    return {
        "os.system": Reduced(os.system, command),
        "exec": Reduced(exec, code),
        "eval": Reduced(eval, code),
        "run": Reduced(subprocess.run, ["touch", str(mark)]),
        "open": Reduced(open, str(mark), "w"),
        "getattr": Reduced(getattr, Path(mark), "touch"),
        "state": Reduced(_Trainer, *()),
    }


def checkpoint(**more: object) -> dict[str, object]:
    return {"epoch": 3, "state_dict": OrderedDict(a=torch.arange(6.0).reshape(2, 3)), **more}


class TestCheckpoints:
    @pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "pickles"])
    def test_only_the_tensors_of_the_state_are_built(self, tmp_path: Path, is_zip: bool) -> None:
        adam = torch.optim.Adam([torch.nn.Parameter(torch.ones(3))])
        more = {
            "optimizer_states": [adam.state_dict()],
            "hyper_parameters": {"trainer": _Trainer(), "path": tmp_path, "bag": _Bag([1, _Trainer()]), "of": {1, 2}},
            "table": _Table(x=_Trainer()),
            "callbacks": {"best": torch.tensor(0.8), "dtype": torch.float16, "device": torch.device("cpu")},
            "numpy": np.arange(3),
        }
        content = checkpoint(**more)
        torch.save(content, tmp_path / "x.ckpt", _use_new_zipfile_serialization=is_zip)
        read = read_checkpoint(tmp_path / "x.ckpt")
        assert list(read) == ["a"]
        assert np.array_equal(read["a"], [[0, 1, 2], [3, 4, 5]])

    def test_parameters_and_half_precision_are_tensors_too(self, tmp_path: Path) -> None:
        state = {"p": torch.nn.Parameter(torch.ones(2)), "h": torch.full((3,), 0.5, dtype=torch.float16)}
        torch.save(checkpoint(state_dict=state), tmp_path / "x.ckpt")
        read = read_checkpoint(tmp_path / "x.ckpt")
        assert np.array_equal(read["p"], [1, 1])
        assert read["h"].dtype == np.float16

    @pytest.mark.parametrize("where", ["hyper_parameters", "state_dict", "state_dict entry", "root"])
    @pytest.mark.parametrize("name", list(bombs(Path("x"))))
    @pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "pickles"])
    def test_what_a_file_says_is_never_run(self, tmp_path: Path, name: str, where: str, is_zip: bool) -> None:
        mark = tmp_path / "mark"
        bomb = bombs(mark)[name]
        content: object = {
            "hyper_parameters": checkpoint(hyper_parameters=bomb),
            "state_dict": checkpoint(state_dict=bomb),
            "state_dict entry": checkpoint(state_dict={"a": torch.ones(2), "b": bomb}),
            "root": bomb,
        }[where]
        torch.save(content, tmp_path / "x.ckpt", _use_new_zipfile_serialization=is_zip)
        if where in ("hyper_parameters", "state_dict entry"):
            assert list(read_checkpoint(tmp_path / "x.ckpt")) == ["a"]
        else:
            with pytest.raises(ValueError, match="it has no state_dict"):
                read_checkpoint(tmp_path / "x.ckpt")
        assert not mark.exists()

    @pytest.mark.parametrize(
        "pickled",
        [
            b"cos\nsystem\n(S'touch MARK'\ntR.",
            b"(S'touch MARK'\nios\nsystem\n.",
            b"(cos\nsystem\nS'touch MARK'\no.",
            b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\ntouch MARK\x85R.",
            b"\x80\x02cbuiltins\n__import__\nX\x02\x00\x00\x00os\x85R.",
            b"ccollections\nOrderedDict.__init__.__globals__\n.",
        ],
        ids=["reduce", "inst", "obj", "stack global", "import", "dotted name"],
    )
    def test_nor_by_an_opcode_that_torch_does_not_write(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pickled: bytes
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with zipfile.ZipFile(tmp_path / "x.ckpt", "w") as archive:
            archive.writestr("x/data.pkl", pickled)
        with pytest.raises(ValueError, match="state_dict"):
            read_checkpoint(tmp_path / "x.ckpt")
        assert not (tmp_path / "MARK").exists()

    @pytest.mark.parametrize("named", [b"x\ny", b"torch._utils\n_rebuild_tensor_v2", b"collections\nOrderedDict"])
    @pytest.mark.parametrize("state", [b"}U\x06appendK\x01s", b"N}U\x0c__defaults__K\x01\x85s\x86"])
    def test_a_pickle_cannot_change_what_later_ones_find(self, tmp_path: Path, named: bytes, state: bytes) -> None:
        """The opcode BUILD sets attributes of whatever was named."""
        with zipfile.ZipFile(tmp_path / "x.ckpt", "w") as archive:
            archive.writestr("x/data.pkl", b"\x80\x02c" + named + b"\n" + state + b"b.")
        with pytest.raises(ValueError, match=r"object|attribute|argument"):
            read_checkpoint(tmp_path / "x.ckpt")
        torch.save(checkpoint(hyper_parameters=_Bag([1])), tmp_path / "good.ckpt")
        assert list(read_checkpoint(tmp_path / "good.ckpt")) == ["a"]

    @pytest.mark.parametrize(
        ("offset", "shape", "strides"),
        [
            (0, (7,), (1,)),
            (5, (2,), (1,)),
            (0, (2, 2), (5, 1)),
            (0, (10**12,), (0,)),
            (-1, (2,), (1,)),
            (0, (2,), (-1,)),
        ],
        ids=["long", "late", "wide", "swollen", "before", "backwards"],
    )
    def test_a_tensor_that_reaches_beyond_its_numbers_is_refused(
        self, tmp_path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> None:
        class Tensor:
            def __reduce__(self) -> tuple[object, ...]:
                typed = torch.storage.TypedStorage(  # type: ignore[no-untyped-call]
                    wrap_storage=torch.arange(6.0).untyped_storage(), dtype=torch.float32, _internal=True
                )
                return torch._utils._rebuild_tensor_v2, (typed, offset, shape, strides, False, OrderedDict())

        torch.save(checkpoint(state_dict={"a": Tensor()}), tmp_path / "x.ckpt")
        with pytest.raises(ValueError, match=r"a tensor (reaches beyond its numbers|has no proper shape)"):
            read_checkpoint(tmp_path / "x.ckpt")

    def test_numbers_of_a_type_that_numpy_lacks_are_told(self, tmp_path: Path) -> None:
        torch.save(checkpoint(state_dict={"a": torch.ones(2, dtype=torch.bfloat16)}), tmp_path / "x.ckpt")
        with pytest.raises(ValueError, match="save it in float32"):
            read_checkpoint(tmp_path / "x.ckpt")

    def test_an_archive_that_swells_is_refused(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "x.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x/data.pkl", bytes(50_000_000))
        with pytest.raises(ValueError, match="its archive is compressed"):
            read_checkpoint(tmp_path / "x.ckpt")

    @pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "pickles"])
    def test_any_beginning_of_a_file_and_any_changed_byte_is_refused_or_read(
        self, tmp_path: Path, is_zip: bool
    ) -> None:
        torch.save(checkpoint(hyper=_Trainer()), tmp_path / "x.ckpt", _use_new_zipfile_serialization=is_zip)
        content, random = (tmp_path / "x.ckpt").read_bytes(), np.random.default_rng(1)
        for length in range(0, len(content) - 1, max(1, len(content) // 60)):
            (tmp_path / "cut.ckpt").write_bytes(content[:length])
            with pytest.raises(ValueError, match=r"."):
                read_checkpoint(tmp_path / "cut.ckpt")
        for _ in range(200):
            changed = bytearray(content)
            changed[random.integers(len(content))] = random.integers(256)
            (tmp_path / "changed.ckpt").write_bytes(bytes(changed))
            with contextlib.suppress(ValueError):
                read_checkpoint(tmp_path / "changed.ckpt")

    @pytest.mark.parametrize("content", [[1, 2], {"epoch": 1}, {"state_dict": [1]}, "text"])
    def test_another_file_of_torch_s_is_told(self, tmp_path: Path, content: object) -> None:
        torch.save(content, tmp_path / "x.ckpt")
        with pytest.raises(ValueError, match="it has no state_dict"):
            read_checkpoint(tmp_path / "x.ckpt")


@pytest.mark.parametrize("member", ["data.pkl", "data/0"])
def test_an_encrypted_archive_is_refused(tmp_path: Path, member: str) -> None:
    """Its members say that a password is needed, for which nobody will be asked."""
    path = tmp_path / "locked.ckpt"
    torch.save({"state_dict": {"a": torch.ones(3)}}, path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        wanted = next(one for one in archive.infolist() if one.filename.endswith(member))
    name = wanted.filename.encode()
    for magic, flags_at, name_at in ((b"PK\x03\x04", 6, 30), (b"PK\x01\x02", 8, 46)):
        start = 0
        while (start := content.find(magic, start)) >= 0:
            if content[start + name_at : start + name_at + len(name)] == name:
                content[start + flags_at] |= 1
            start += 4
    path.write_bytes(content)
    with pytest.raises(ValueError, match="its archive is encrypted"):
        read_checkpoint(path)
