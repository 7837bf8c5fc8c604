"""`streamer train-emotion` as a user runs it, and the examples that it learns from."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streamer.cli import main
from streamer.emotion.ferplus_file import read
from streamer.emotion_examples import Examples, read_examples
from streamer.errors import UsageError
from streamer.types import EMOTIONS, Float32
from tests.emotion_pictures import cut_file, mosaic_folder, save
from tests.nets import mtcnn
from tests.test_emotion_training import drawn

FAST = ("--cropped", "--blocks", "1", "--start", "random", "--learning-rate", "0.003")


def data_set(folder: Path, count: int = 60, seed: int = 1) -> Path:
    """Write drawn pictures of two kinds, a folder a class."""
    pictures, targets = drawn(count, seed)
    for number, (picture, target) in enumerate(zip(pictures, targets, strict=True)):
        save(folder / EMOTIONS[int(target.argmax())] / f"{number:03}.png", np.repeat(picture[:, :, None], 3, axis=2))
    return folder


def examples(folder: Path, valid: Path | None = None, *, cropped: bool = True, seed: int = 0) -> Examples:
    return read_examples(
        folder, valid, mtcnn(), cropped=cropped, seed=seed, threads=1, on_share=lambda share: shares.append(share)
    )


shares: list[float] = []


class TestExamples:
    """Which pictures are learnt from, and which are judged on."""

    def test_every_tenth_picture_is_held_out_by_lot(self, tmp_path: Path) -> None:
        folder = data_set(tmp_path / "set")
        first, again, other = (examples(folder, seed=seed) for seed in (1, 1, 2))
        assert len(first.training.pictures) == 54
        assert len(first.valid.classes) == 6
        np.testing.assert_array_equal(first.valid.pictures, again.valid.pictures)
        assert not np.array_equal(first.valid.pictures, other.valid.pictures)
        held_out = {picture.tobytes() for picture in first.valid.pictures}
        assert not held_out & {picture.tobytes() for picture in first.training.pictures}

    def test_a_folder_to_judge_on_leaves_all_others_to_learn_from(self, tmp_path: Path) -> None:
        shares.clear()
        found = examples(data_set(tmp_path / "set", 24), data_set(tmp_path / "other", 8, seed=5))
        assert len(found.training.pictures) == 24
        assert len(found.valid.classes) == 8
        assert shares == sorted(shares)
        assert found.prior[[1, 3]] == pytest.approx(0.5, abs=0.01)

    def test_a_split_data_set_is_judged_on_its_valid_split(self, tmp_path: Path) -> None:
        mosaic_folder(tmp_path, "train", [{"happiness": 10}] * 3 + [{"sadness": 6, "neutral": 4}])
        mosaic_folder(tmp_path, "valid", [{"anger": 10}, {"fear": 5, "anger": 5}])
        found = examples(tmp_path, cropped=False)
        assert len(found.training.pictures) == 4
        assert found.training.targets[3, [3, 0]] == pytest.approx([0.6, 0.4], abs=0.02)
        assert found.valid.classes.tolist() == [EMOTIONS.index("anger")]

    def test_of_a_train_split_alone_a_tenth_is_held_out(self, tmp_path: Path) -> None:
        data_set(tmp_path / "train", 20)
        found = examples(tmp_path)
        assert (len(found.training.pictures), len(found.valid.classes)) == (18, 2)

    def test_splits_without_one_to_learn_from_are_refused(self, tmp_path: Path) -> None:
        for split in ("val", "test"):
            data_set(tmp_path / split, 4)
        with pytest.raises(UsageError, match="no split train to learn from, only test, val"):
            examples(tmp_path)

    def test_pictures_that_nobody_agrees_on_are_not_enough(self, tmp_path: Path) -> None:
        mosaic_folder(tmp_path, "train", [{"happiness": 10}])
        mosaic_folder(tmp_path, "valid", [{"fear": 5, "anger": 5}])
        with pytest.raises(UsageError, match="too few pictures whose emotion voters agree on; add some"):
            examples(tmp_path)
        with pytest.raises(UsageError, match="6 pictures are too few to train on"):
            examples(data_set(tmp_path / "six", 6))


@pytest.mark.timeout(60)
class TestCommand:
    def test_it_writes_a_net_its_log_and_what_was_reached(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        net = tmp_path / "out" / "net.safetensors"
        assert main(["train-emotion", str(data_set(tmp_path / "set")), "-o", str(net), *FAST, "--epochs", "3"]) == 0
        assert "of 6 pictures told right" in capsys.readouterr().out
        assert read(net).blocks == 1
        with net.with_suffix(".log.csv").open(newline="") as log:
            assert [row["epoch"] for row in csv.DictReader(log)] == ["1", "2", "3"]
        assert {path.name for path in net.parent.iterdir()} == {"net.safetensors", "net.log.csv"}

    def test_its_net_is_used_where_the_configuration_names_it(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        net, folder = tmp_path / "net.safetensors", data_set(tmp_path / "set")
        assert main(["train-emotion", str(folder), "-o", str(net), *FAST, "--epochs", "12"]) == 0
        words = ["evaluate", "emotion", str(data_set(tmp_path / "other", 20, seed=9)), "--cropped", "--json"]
        capsys.readouterr()
        assert main([*words, "--set", f"emotion.path={net}"]) == 0
        judged = json.loads(capsys.readouterr().out)
        assert judged["accuracy"] > 0.9
        assert judged["net"] == "net.safetensors"
        for wrong, message in (
            (tmp_path / "absent", "is absent; give a file that exists"),
            (tmp_path, "cannot be read"),
        ):
            assert main([*words, "--set", f"emotion.path={wrong}"]) == 4
            assert message in capsys.readouterr().err

    def test_the_same_seed_gives_the_same_net_and_nothing_is_overwritten(self, tmp_path: Path) -> None:
        folder, net = data_set(tmp_path / "set"), tmp_path / "net.safetensors"
        words = ["train-emotion", str(folder), "-o", str(net), *FAST, "--epochs", "1", "--threads", "1"]
        assert main(words) == 0
        first = read(net).tensors["stem.weight"]
        assert main(words) == 5
        assert main([*words, "--overwrite"]) == 0
        np.testing.assert_array_equal(read(net).tensors["stem.weight"], first)
        assert main([*words, "--overwrite", "--seed", "1"]) == 0
        assert not np.array_equal(read(net).tensors["stem.weight"], first)

    def test_a_net_learns_from_an_earlier_one(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """On one thread two nets of one seed are the same, so that what differs comes from the teacher."""
        folder, teacher = data_set(tmp_path / "set"), tmp_path / "teacher.safetensors"

        def trained(name: str, *words: str) -> Float32:
            net = tmp_path / f"{name}.safetensors"
            fast = (*FAST, "--epochs", "2", "--threads", "1")
            assert main(["train-emotion", str(folder), "-o", str(net), *fast, *words]) == 0
            return read(net).tensors["head.weight"]

        alone, again = trained("teacher"), trained("again")
        taught = trained("pupil", "--teacher", str(teacher), "--teacher", str(teacher))
        np.testing.assert_array_equal(alone, again)
        assert not np.array_equal(alone, taught)
        words = ["train-emotion", str(folder), "-o", str(tmp_path / "x.safetensors"), *FAST]
        assert main([*words, "--teacher", "absent.safetensors"]) == 4
        assert "absent.safetensors (--teacher) is absent" in capsys.readouterr().err

    def test_a_table_beside_the_net_is_not_taken_for_its_log(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder, log = data_set(tmp_path / "set"), tmp_path / "labels.log.csv"
        tables = {tmp_path / "labels.csv": "image,emotion\n", log: "mine\n"}
        for path, text in tables.items():
            path.write_text(text)
        words = ["train-emotion", str(folder), "-o", str(tmp_path / "labels.safetensors"), *FAST, "--epochs", "1"]
        assert main(words) == 5
        assert "labels.log.csv: it exists already" in capsys.readouterr().err
        assert {path: path.read_text() for path in tables} == tables
        assert main([*words, "--overwrite"]) == 0
        assert (tmp_path / "labels.csv").read_text() == "image,emotion\n"
        assert log.read_text().startswith("epoch,")

    def test_overwriting_keeps_a_checkpoint_until_the_pictures_are_read(self, tmp_path: Path) -> None:
        checkpoint = tmp_path / "net.checkpoint"
        checkpoint.write_bytes(b"hours of work")
        words = ["train-emotion", "-o", str(tmp_path / "net.safetensors"), *FAST, "--epochs", "1", "--overwrite"]
        assert main([*words, str(tmp_path / "absent")]) != 0
        assert checkpoint.read_bytes() == b"hours of work"
        assert main([*words, str(data_set(tmp_path / "set"))]) == 0
        assert not checkpoint.exists()

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a child alone")
    def test_one_that_was_interrupted_goes_on(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        net = tmp_path / "net.safetensors"
        words = ["train-emotion", str(data_set(tmp_path / "set")), "-o", str(net), *FAST, "--epochs", "60"]
        child = subprocess.Popen([sys.executable, "-m", "streamer", *words], stderr=subprocess.PIPE, text=True)
        assert child.stderr is not None
        for line in child.stderr:
            if "pass 3:" in line:
                child.send_signal(signal.SIGINT)
                break
        _, rest = child.communicate(timeout=30)
        assert child.returncode == 130
        assert "the same command, without --overwrite, goes on" in rest
        assert {path.name for path in tmp_path.glob("net.*")} == {"net.checkpoint", "net.log.csv"}
        assert main([*words, "--seed", "5"]) == 2
        assert "other options or pictures" in capsys.readouterr().err
        assert main(words) == 0
        assert "going on where it was" in capsys.readouterr().out
        assert {path.name for path in tmp_path.glob("net.*")} == {"net.safetensors", "net.log.csv"}
        rows = net.with_suffix(".log.csv").read_text().split()
        assert [row.split(",")[0] for row in rows[1:]] == [str(number) for number in range(1, 61)]

    def test_bad_input_is_one_line_that_names_it(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = data_set(tmp_path / "set", 20)

        def told(*words: str) -> tuple[int, str]:
            code = main(["train-emotion", str(folder), "-o", str(tmp_path / "net.safetensors"), *FAST, *words])
            error = capsys.readouterr().err.strip().splitlines()[-1]
            return code, error

        (folder / "bored").mkdir()
        code, error = told()
        assert code == 2
        assert "bored is named after no emotion; choose from neutral" in error
        (folder / "bored").rename(folder / "fear")
        code, error = told()
        assert code == 2
        assert "fear holds no picture; add some or take the folder out" in error
        (folder / "fear").rmdir()
        cut_file(folder / "happiness" / "001.png")
        code, error = told()
        assert code == 3
        assert "001.png" in error
        assert not list(tmp_path.glob("net.*"))
