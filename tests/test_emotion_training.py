"""Training the emotion net: it learns, can be stopped anywhere, and its file is what a classifier takes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from streamer.emotion.alignment import alignments
from streamer.emotion.augmentation_torch import augmented
from streamer.emotion.calibration import FERPLUS_PRIOR, Calibration
from streamer.emotion.dlib_start import from_dlib, random_start
from streamer.emotion.ferplus import FerPlusClassifier
from streamer.emotion.ferplus_file import EmotionWeights, encoded, read, shapes
from streamer.emotion.ferplus_openvino import OpenVinoEmotionNet
from streamer.emotion.ferplus_torch import EmotionNet, TorchEmotionNet
from streamer.emotion.framing import CROP_SIZE, FER_TEMPLATE
from streamer.emotion.teaching_torch import taught
from streamer.emotion.training import Judged, Pass, best_temperature, finished, prior_of, train
from streamer.emotion.training_torch import Recipe, Training, TrainingSet
from streamer.errors import UsageError, WeightsError
from streamer.geometry import similarity_transform
from streamer.pictures import BgrPicture, UInt8
from streamer.recognition.dlib_resnet import read as read_dlib
from streamer.types import Float32
from tests.nets import mtcnn

RECIPE = Recipe(blocks=2, epochs=4, peak_rate=2e-3, dropout=0.1)


def drawn(count: int, seed: int) -> tuple[UInt8, Float32]:
    """Pictures of two kinds, and their targets: lines across are happiness, lines from top to bottom sadness."""
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 60, (count, CROP_SIZE, CROP_SIZE)).astype(np.uint8)
    targets = np.zeros((count, 7), np.float32)
    for index in range(count):
        lines = 150 * (np.arange(CROP_SIZE) // 4 % 2).astype(np.uint8)
        pictures[index] += lines[:, None] if index % 2 else lines
        targets[index, 1 if index % 2 else 3] = 1
    return pictures, targets


def unaligned(count: int) -> Float32:
    return np.tile(np.eye(2, 3, dtype=np.float32), (count, 1, 1))


def training(recipe: Recipe = RECIPE, count: int = 192) -> Training:
    pictures, targets = drawn(count, 1)
    return Training(recipe, TrainingSet(pictures, targets, unaligned(count)), random_start(recipe.blocks, 0))


def judged() -> Judged:
    pictures, targets = drawn(40, 2)
    return Judged(pictures, targets.argmax(axis=1))


def ignore(_: object) -> None:
    """For what a test does not look at."""


def weights(blocks: int = 2, calibration: Calibration | None = None) -> EmotionWeights:
    tensors = random_start(blocks, 3)
    tensors["head.weight"] = np.random.default_rng(1).normal(0, 0.1, tensors["head.weight"].shape).astype(np.float32)
    return EmotionWeights(tensors, calibration or Calibration(0.7, FERPLUS_PRIOR))


class TestFile:
    """A net's file holds all that is needed to use it, and anything else is refused by one line."""

    def test_what_is_written_is_read_up_to_float16(self, tmp_path: Path) -> None:
        (tmp_path / "net.safetensors").write_bytes(encoded(weights(3)))
        found = read(tmp_path / "net.safetensors")
        assert found.blocks == 3
        assert found.calibration.temperature == 0.7
        assert found.calibration.prior is not None
        np.testing.assert_allclose(found.calibration.prior, FERPLUS_PRIOR, atol=1e-6)
        for name, values in weights(3).tensors.items():
            np.testing.assert_allclose(found.tensors[name], values, rtol=1e-3, atol=1e-4)

    def test_a_cut_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "net.safetensors"
        path.write_bytes(encoded(weights()))
        for kept in (0, 5, 300, path.stat().st_size - 1):
            cut = tmp_path / "cut.safetensors"
            cut.write_bytes(path.read_bytes()[:kept])
            with pytest.raises(WeightsError, match=r"cut\.safetensors is no whole safetensors file; use one that"):
                read(cut)

    def test_another_architecture_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "other.safetensors"
        tensors = dict(weights().tensors)
        tensors["head.weight"] = np.zeros((8, 32), np.float32)
        for content in ({"layer.weight": np.zeros((3, 3), np.float32)}, tensors):
            save_file(content, path)
            with pytest.raises(WeightsError, match="holds a net of another architecture; use one that"):
                read(path)

    def test_an_older_format_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "old.safetensors"
        save_file({"x": np.zeros(1, np.float32)}, path, metadata={"format": "streamer-emotion", "format_version": "1"})
        with pytest.raises(WeightsError, match="is of format version 1, which this release does not read"):
            read(path)

    def test_one_without_calibration_or_with_numbers_that_are_none_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "bad.safetensors"
        save_file(dict(weights().tensors), path)
        with pytest.raises(WeightsError, match="does not say how sure its net is"):
            read(path)
        tensors = dict(weights().tensors) | {"head.bias": np.full(7, np.nan, np.float32)}
        path.write_bytes(encoded(EmotionWeights(tensors, Calibration(1.0, FERPLUS_PRIOR))))
        with pytest.raises(WeightsError, match="not finite"):
            read(path)

    @pytest.mark.parametrize("blocks", [1, 4, 11, 13])
    def test_both_backends_say_the_same_for_any_depth(self, blocks: int) -> None:
        crops = np.random.default_rng(0).integers(0, 255, (5, CROP_SIZE, CROP_SIZE)).astype(np.uint8)
        net = weights(blocks)
        logits = OpenVinoEmotionNet(net)(crops)
        np.testing.assert_allclose(logits, TorchEmotionNet(net)(crops), atol=1e-3 * np.abs(logits).max())


class TestStart:
    """A training begins with what dlib's net knows of faces."""

    def test_the_stem_does_on_the_picture_what_dlib_s_does_on_a_doubled_one(self) -> None:
        dlib = read_dlib()
        stem = torch.from_numpy(from_dlib(dlib, 1)["stem.weight"])
        picture = torch.rand(1, 1, 20, 20)
        doubled = torch.nn.functional.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
        theirs = torch.nn.functional.conv2d(
            doubled.expand(1, 3, 40, 40) * 0.22, torch.tensor(dlib["stem.weight"]), stride=2
        )
        # Without padding ours begins with the window that dlib's second one sees.
        ours = torch.nn.functional.conv2d(picture, stem)
        torch.testing.assert_close(ours, theirs[:, :, 1:17, 1:17], atol=1e-5, rtol=1e-4)

    @pytest.mark.parametrize("blocks", [1, 12, 13])
    def test_either_start_has_the_net_s_shapes(self, blocks: int) -> None:
        expected = dict(shapes(blocks))
        assert {name: values.shape for name, values in random_start(blocks, 0).items()} == expected
        assert {name: values.shape for name, values in from_dlib(read_dlib(), blocks).items()} == expected

    def test_a_net_has_one_to_thirteen_blocks(self) -> None:
        for blocks in (0, 14):
            with pytest.raises(ValueError, match="1 to 13"):
                shapes(blocks)


class TestAugmentation:
    def test_it_keeps_range_and_shape_and_is_seeded(self) -> None:
        pictures, straight = torch.rand(16, 1, CROP_SIZE, CROP_SIZE), torch.from_numpy(unaligned(16))
        first, again, other = (
            augmented(pictures, straight, 1.0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
        )
        assert first.shape == pictures.shape
        torch.testing.assert_close(first, again)
        assert not torch.equal(first, other)
        assert -0.2 < float(first.min()) < float(first.max()) < 1.4

    def test_without_strength_only_light_and_mirroring_vary(self) -> None:
        pictures = torch.rand(32, 1, CROP_SIZE, CROP_SIZE)
        varied = augmented(pictures, torch.from_numpy(unaligned(32)), 0.0, torch.Generator().manual_seed(0))
        for before, after in zip(pictures, varied, strict=True):
            x, y = (before - before.mean()).flatten(), (after - after.mean()).flatten()
            mirrored = (before.flip(2) - before.mean()).flatten()
            likeness = max(float(x @ y), float(mirrored @ y)) / float(x.norm() * y.norm())
            assert likeness > 0.999

    def test_aligned_pictures_show_their_face_on_the_template(self) -> None:
        """A dot where each landmark lies comes, on average over the jitter, near the template's place for it."""
        landmarks = FER_TEMPLATE * 0.8 + np.array([8, 3], np.float32)
        pictures = torch.zeros(400, 1, CROP_SIZE, CROP_SIZE)
        x, y = np.round(landmarks[2]).astype(int)
        pictures[:, :, y - 1 : y + 2, x - 1 : x + 2] = 1
        half = CROP_SIZE / 2
        unit = np.array([[1 / half, 0, 0.5 / half - 1], [0, 1 / half, 0.5 / half - 1], [0, 0, 1]])
        pixels = np.vstack([similarity_transform(FER_TEMPLATE, landmarks), [0, 0, 1]])
        transform = (unit @ pixels @ np.linalg.inv(unit))[:2].astype(np.float32)
        varied = augmented(
            pictures, torch.from_numpy(np.tile(transform, (400, 1, 1))), 0.0, torch.Generator().manual_seed(0)
        )
        rows = torch.tensor([int(picture[0].amax(dim=1).argmax()) for picture in varied]).float()
        is_aligned = (rows - FER_TEMPLATE[2, 1]).abs() < (rows - float(landmarks[2, 1])).abs()
        assert 0.4 < float(is_aligned.float().mean()) < 0.6
        assert float((rows[is_aligned] - FER_TEMPLATE[2, 1]).abs().mean()) < 1.5


class TestAlignment:
    def test_a_face_is_brought_onto_the_template(self, astronaut: UInt8) -> None:
        """A crop that is turned and shifted is aligned as one cut by the landmarks is."""
        import cv2

        landmarks = mtcnn().detect([BgrPicture(astronaut)])[0].landmarks[0]
        matrix = similarity_transform(landmarks, FER_TEMPLATE * 0.92 + np.array([3.0, 1.0], np.float32))
        picture = cv2.cvtColor(cv2.warpAffine(astronaut, matrix, (CROP_SIZE, CROP_SIZE)), cv2.COLOR_BGR2GRAY)
        pictures = np.stack([picture, np.full_like(picture, 90)]).astype(np.uint8)
        shares: list[float] = []
        found = alignments(pictures, mtcnn().detect, shares.append)
        np.testing.assert_array_equal(found[1], np.eye(2, 3))  # nobody there: left as it is
        nose = np.array([*((FER_TEMPLATE[2] + 0.5) / 24 - 1), 1])
        place = (found[0] @ nose + 1) * 24 - 0.5
        np.testing.assert_allclose(place, FER_TEMPLATE[2] * 0.92 + [3.0, 1.0], atol=2.0)
        assert shares == [0.0]


class TestTraining:
    @pytest.mark.timeout(60)
    def test_it_learns_and_its_file_says_the_same(self, tmp_path: Path) -> None:
        under_way, passes = training(), list[Pass]()
        shares: list[float] = []
        files = tmp_path / "net.checkpoint", tmp_path / "net.csv"
        train(under_way, judged(), *files, on_batch=shares.append, on_pass=passes.append)
        assert [one.epoch for one in passes] == [1, 2, 3, 4]
        assert passes[-1].valid_accuracy > 0.9
        assert passes[-1].loss < passes[0].loss
        assert shares == sorted(shares)
        assert len(shares) > 8
        with files[1].open(newline="") as log:
            rows = list(csv.DictReader(log))
        assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
        assert float(rows[-1]["valid_accuracy"]) == pytest.approx(passes[-1].valid_accuracy, abs=1e-4)
        net = finished(under_way, judged(), FERPLUS_PRIOR)
        (tmp_path / "net.safetensors").write_bytes(encoded(net))
        crops = bgr(judged().pictures)
        classifier = FerPlusClassifier(OpenVinoEmotionNet(read(tmp_path / "net.safetensors")), tau=0.0)
        answers = classifier.classify(crops)
        right = answers.argmax(axis=1) == judged().classes
        assert right.mean() == pytest.approx(passes[-1].valid_accuracy, abs=0.03)

    @pytest.mark.timeout(60)
    def test_one_that_was_stopped_goes_on_as_if_it_had_not_been(self, tmp_path: Path) -> None:
        recipe = Recipe(blocks=1, epochs=2, peak_rate=1e-3, dropout=0.2)
        files = tmp_path / "net.checkpoint", tmp_path / "net.csv"
        whole = training(recipe)
        train(whole, judged(), tmp_path / "whole", tmp_path / "whole.csv", on_batch=ignore, on_pass=ignore)

        for wanted in (0.3, 0.7):

            def stop(share: float, wanted: float = wanted) -> None:
                if share >= wanted:
                    raise KeyboardInterrupt

            part = training(recipe)
            if files[0].exists():
                part.restore(files[0])
            with pytest.raises(KeyboardInterrupt):
                train(part, judged(), *files, on_batch=stop, on_pass=ignore)
        rest = training(recipe)
        rest.restore(files[0])
        assert 0.7 <= rest.share < 1
        train(rest, judged(), *files, on_batch=ignore, on_pass=ignore)
        for name, values in whole.tensors().items():
            np.testing.assert_array_equal(rest.tensors()[name], values)
        assert [line.split(",")[0] for line in files[1].read_text().split()] == ["epoch", "1", "2"]

    def test_another_recipe_or_a_cut_checkpoint_is_not_continued(self, tmp_path: Path) -> None:
        path = tmp_path / "net.checkpoint"
        training().save(path)
        with pytest.raises(UsageError, match="other options or pictures; repeat those, or start afresh"):
            training(Recipe(blocks=2, epochs=5)).restore(path)
        with pytest.raises(UsageError, match="other options or pictures"):
            training(count=160).restore(path)
        pictures, targets = drawn(192, 1)
        same_count = TrainingSet(pictures, targets[:, ::-1].copy(), unaligned(192))
        with pytest.raises(UsageError, match="other options or pictures"):
            Training(RECIPE, same_count, random_start(2, 0)).restore(path)
        with pytest.raises(UsageError, match="other options or pictures"):
            Training(RECIPE, TrainingSet(pictures, targets, unaligned(192)), random_start(2, 1)).restore(path)
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(UsageError, match="no whole checkpoint; delete it, or start afresh with --overwrite"):
            training().restore(path)

    def test_a_checkpoint_that_cannot_be_written_leaves_no_part(self, tmp_path: Path) -> None:
        (tmp_path / "net.checkpoint").mkdir()
        with pytest.raises(OSError, match=r"net\.checkpoint"):
            training().save(tmp_path / "net.checkpoint")
        assert [path.name for path in tmp_path.iterdir()] == ["net.checkpoint"]

    def test_a_time_limit_shortens_all_of_it(self) -> None:
        """The rate rises and falls by the time that is gone, so that no time limit cuts a training off."""
        under_way, rates = training(Recipe(blocks=1, epochs=10_000, budget_seconds=0.5)), list[float]()
        while under_way.share < 1:
            rates += [under_way.rate for _ in under_way.epoch_of_batches()]
        assert 0.5 <= under_way.seconds < 5
        assert max(rates) > under_way.recipe.peak_rate / 2
        assert rates[-1] == pytest.approx(under_way.recipe.peak_rate / 2)

    def test_fewer_pictures_than_a_batch_are_learnt_from(self) -> None:
        under_way = training(Recipe(blocks=1, epochs=2), count=5)
        assert under_way.batches_an_epoch == 1
        assert len(list(under_way.epoch_of_batches())) == 1


class TestTeaching:
    """Half of what is learnt is what finished nets say."""

    def test_half_of_the_targets_is_the_mean_of_the_teachers(self) -> None:
        pictures, targets = drawn(9, 1)
        data = TrainingSet(pictures, targets, unaligned(9))
        teachers = [weights(1, Calibration(temperature)) for temperature in (0.5, 2.0)]
        shares: list[float] = []
        found = taught(data, teachers, on_share=shares.append)
        said = np.mean([FerPlusClassifier(OpenVinoEmotionNet(one), 0.0).classify(bgr(pictures)) for one in teachers], 0)
        np.testing.assert_allclose(found.targets, (targets + said) / 2, atol=0.01)
        assert shares == [0]
        assert taught(data, [], on_share=shares.append) is data

    def test_a_teacher_sees_pictures_aligned_too(self) -> None:
        pictures, targets = drawn(4, 1)
        moved = unaligned(4)
        moved[:, 0, 2] = 0.4
        both = [
            taught(TrainingSet(pictures, targets, alignments), [weights(1)], on_share=ignore).targets
            for alignments in (unaligned(4), moved)
        ]
        assert np.abs(both[0] - both[1]).max() > 1e-4


def bgr(grey: UInt8) -> UInt8:
    return np.repeat(grey[:, :, :, None], 3, axis=3)


def test_the_temperature_is_found_that_made_answers_too_sure() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (4000, 7)).astype(np.float32)
    powers = np.exp(logits.astype(np.float64))
    classes = np.array([random.choice(7, p=row / row.sum()) for row in powers])
    assert best_temperature(logits * 3, classes) == pytest.approx(3, rel=0.06)


def test_the_prior_counts_classes_and_leaves_none_out() -> None:
    prior = prior_of(np.array([0, 0, 0, 1]))
    np.testing.assert_allclose(prior[:2], [0.75, 0.25], atol=1e-3)
    assert prior.min() > 0
    assert prior.sum() == pytest.approx(1)


def test_a_net_gives_back_the_weights_that_it_took() -> None:
    net = EmotionNet(2)
    net.load(weights().tensors)
    for name, values in weights().tensors.items():
        np.testing.assert_array_equal(net.tensors()[name], values)
