"""An emotion net that a user brings as an ONNX file says what it should, by settings alone."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamer import build, cli
from streamer.config import Config, as_yaml, load_config
from streamer.emotion.calibration import FERPLUS_PRIOR
from streamer.emotion.onnx_openvino import OnnxEmotionClassifier, OnnxEmotionRecipe, place_of
from streamer.emotion.votes import emotion_of
from streamer.errors import UsageError, WeightsError
from streamer.pictures import BgrPicture, UInt8
from streamer.types import EMOTIONS, Float32
from tests.nets import mtcnn
from tests.onnx_nets import Classes, odd

FERPLUS_8 = (*EMOTIONS, "contempt")
FER2013 = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def written(folder: Path, net: Classes | bytes) -> Path:
    path = folder / "mood.onnx"
    path.write_bytes(net if isinstance(net, bytes) else net.content())
    return path


def crops_of(side: int, count: int = 3) -> UInt8:
    """Coloured noise, coarse enough to tell one place from another."""
    small = np.random.default_rng(side).integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    return np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in small]).astype(np.uint8)


def softmax(logits: Float32) -> Float32:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def grey_of(crop: UInt8) -> Float32:
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.float32)


def with_keys(**keys: object) -> Config:
    return load_config(overrides={f"emotion.{key}": str(value) for key, value in keys.items()}, environment={})


def classifier(config: Config) -> OnnxEmotionClassifier:
    made = build.Models(config).emotion
    assert isinstance(made, OnnxEmotionClassifier)
    return made


class TestFerPlus8:
    """The form of the public emotion-ferplus-8.onnx: 1 × 1 × 64 × 64 grey of 0..255, eight outputs, contempt last."""

    net = Classes(channels=1, side=64, outputs=8)

    def config(self, tmp_path: Path, **keys: object) -> Config:
        return with_keys(kind="onnx", path=written(tmp_path, self.net), classes=", ".join(FERPLUS_8), **keys)

    def test_is_usable_by_settings_alone(self, tmp_path: Path) -> None:
        made = classifier(self.config(tmp_path))
        assert made.crop_size == 64
        crops = crops_of(64)
        wanted = np.stack([softmax(self.net.logits(grey_of(crop)[None])[:7]) for crop in crops])
        np.testing.assert_allclose(made.classify(crops), wanted, atol=1e-4)
        assert wanted.max(axis=1).min() < 0.95  # or an error would not show

    def test_its_training_shares_are_taken_back_by_tau(self, tmp_path: Path) -> None:
        prior = [*FERPLUS_PRIOR.tolist(), 0.006]
        made = classifier(self.config(tmp_path, prior=prior, tau=1.0, temperature=2.0))
        crops = crops_of(64)
        logits = np.stack([self.net.logits(grey_of(crop)[None])[:7] for crop in crops])
        wanted = softmax(np.asarray(logits / 2 - np.log(FERPLUS_PRIOR), np.float32))
        np.testing.assert_allclose(made.classify(crops), wanted, atol=1e-4)
        first, second = (classifier(self.config(tmp_path, tau=tau)).classify(crops) for tau in (0.0, 1.0))
        np.testing.assert_array_equal(first, second)

    def test_what_is_left_out_is_named(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "streamer"):
            classifier(self.config(tmp_path))
        assert "none of the seven emotions: contempt" in caplog.text


@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax"])
def test_a_softmax_at_the_end_changes_nothing(tmp_path: Path, last: str) -> None:
    recipe = OnnxEmotionRecipe(FERPLUS_8, temperature=0.7)
    crops = crops_of(64)
    plain = OnnxEmotionClassifier(written(tmp_path, Classes()), recipe).classify(crops)
    ended = OnnxEmotionClassifier(written(tmp_path, Classes(last=last)), recipe).classify(crops)
    np.testing.assert_allclose(ended, plain, atol=1e-5)


def test_outputs_come_into_our_order_by_their_names(tmp_path: Path) -> None:
    net = Classes(outputs=7)
    crops = crops_of(64)
    answers = OnnxEmotionClassifier(written(tmp_path, net), OnnxEmotionRecipe(FER2013)).classify(crops)
    own = np.stack([softmax(net.logits(grey_of(crop)[None])) for crop in crops])
    for column, name in enumerate(("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")):
        np.testing.assert_allclose(answers[:, EMOTIONS.index(name)], own[:, column], atol=1e-4)


def test_an_emotion_that_the_net_does_not_know_has_no_probability(tmp_path: Path) -> None:
    net = Classes(outputs=3)
    recipe = OnnxEmotionRecipe(("negative", "Happy", "neutral"), prior=(0.2, 0.3, 0.5))
    answers = OnnxEmotionClassifier(written(tmp_path, net), recipe, tau=0.5).classify(crops_of(64))
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers[:, :2].sum(axis=1), 1, atol=1e-6)
    assert (answers[:, 2:] == 0).all()


class TestPixels:
    @pytest.mark.parametrize("is_channels_first", [True, False], ids=["first", "last"])
    @pytest.mark.parametrize("channels", ["rgb", "bgr", "grey"])
    @pytest.mark.parametrize("normalisation", ["raw", "unit", "imagenet", "arcface", "facenet", "standardise"])
    def test_of_three_channels(
        self, tmp_path: Path, normalisation: str, channels: str, is_channels_first: bool
    ) -> None:
        net = Classes(channels=3, side=32, outputs=7, is_channels_first=is_channels_first)
        recipe = OnnxEmotionRecipe(EMOTIONS, normalisation=normalisation, channels=channels)
        crops = crops_of(32)
        answers = OnnxEmotionClassifier(written(tmp_path, net), recipe).classify(crops)
        for crop, answer in zip(crops, answers, strict=True):
            planes = {"rgb": crop[..., ::-1], "bgr": crop, "grey": np.repeat(grey_of(crop)[..., None], 3, 2)}[channels]
            pixels = normalised(planes.astype(np.float64), normalisation, is_reversed=channels == "bgr")
            wanted = softmax(net.logits(pixels.transpose(2, 0, 1).astype(np.float32)))
            np.testing.assert_allclose(answer, wanted, atol=1e-4)

    @pytest.mark.parametrize("normalisation", ["unit", "arcface", "facenet", "standardise"])
    def test_of_one_channel(self, tmp_path: Path, normalisation: str) -> None:
        net = Classes(channels=1, side=48, outputs=7)
        crops = crops_of(48)
        recipe = OnnxEmotionRecipe(EMOTIONS, normalisation=normalisation)
        answers = OnnxEmotionClassifier(written(tmp_path, net), recipe).classify(crops)
        for crop, answer in zip(crops, answers, strict=True):
            pixels = normalised(grey_of(crop).astype(np.float64)[..., None], normalisation, is_reversed=False)
            wanted = softmax(net.logits(pixels.transpose(2, 0, 1).astype(np.float32)))
            np.testing.assert_allclose(answer, wanted, atol=1e-4)

    def test_three_channels_are_seen_in_colour_unless_it_is_set(self, tmp_path: Path) -> None:
        path = written(tmp_path, Classes(channels=3, side=32, outputs=7))
        crops = crops_of(32)
        usual, rgb = (OnnxEmotionClassifier(path, OnnxEmotionRecipe(EMOTIONS, channels=c)) for c in (None, "rgb"))
        np.testing.assert_array_equal(usual.classify(crops), rgb.classify(crops))


def normalised(pixels: npt.NDArray[np.float64], name: str, *, is_reversed: bool) -> npt.NDArray[np.float64]:
    """Return (S, S, C) pixels as those who train such nets write it."""
    if name == "standardise":
        unit = pixels / 255
        return np.asarray((unit - unit.mean()) / (unit.std() + 1e-3))
    if name == "imagenet":
        mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        order = -1 if is_reversed else 1
        return np.asarray((pixels / 255 - mean[::order]) / deviation[::order])
    shift, scale = {"raw": (0, 1), "unit": (0, 255), "arcface": (127.5, 127.5), "facenet": (127.5, 128)}[name]
    return (pixels - shift) / scale


class TestCrops:
    @pytest.mark.parametrize(("channels", "is_grey"), [("grey", True), ("rgb", False)])
    def test_are_framed_as_fer_s_pictures_are_and_wider_by_the_key(
        self, tmp_path: Path, astronaut: UInt8, channels: str, is_grey: bool
    ) -> None:
        path = written(tmp_path, Classes(channels=3, side=96, outputs=7))
        picture = BgrPicture(astronaut)
        landmarks = mtcnn().detect([picture])[0].landmarks[0]
        tight = OnnxEmotionClassifier(path, OnnxEmotionRecipe(EMOTIONS, channels=channels))
        wide = OnnxEmotionClassifier(path, OnnxEmotionRecipe(EMOTIONS, channels=channels, crop_scale=1.5))
        crops = [one.crop(picture, landmarks) for one in (tight, wide)]
        assert [crop.shape for crop in crops] == [(96, 96, 3)] * 2
        assert all((crop.max(axis=2) == crop.min(axis=2)).all() == is_grey for crop in crops)
        # The middle two thirds of the wide crop are the tight one.
        middle = cv2.resize(crops[1][16:80, 16:80], (96, 96)).astype(float)
        assert np.abs(middle - crops[0]).mean() < 6
        assert np.abs(crops[1].astype(float) - crops[0]).mean() > 20


class TestRefused:
    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({"kind": "onnx"}, r"kind onnx needs emotion\.path, the ONNX file, and emotion\.classes"),
            ({"kind": "onnx", "path": "x"}, r"kind onnx needs emotion\.path"),
            ({"kind": "fer-pytorch", "classes": "a, b"}, "only kind onnx has classes, and kind is fer-pytorch"),
            ({"kind": "onnx", "architecture": "resnet34"}, "only kind fer-pytorch has architecture"),
            ({"kind": "onnx", "path": "x", "classes": "a"}, "must be a list of texts"),
            ({"kind": "onnx", "path": "x", "classes": "a, b", "prior": "x, y"}, "must be a list of numbers"),
            ({"kind": "onnx", "path": "x", "classes": "a, b", "prior": "1, 0"}, "must be a list of numbers"),
            ({"kind": "onnx", "path": "x", "classes": "a, b", "prior": "0.1, 0.2, 0.3"}, "3 shares for 2 classes"),
            ({"temperature": 2}, "only kind fer-pytorch or onnx has temperature"),
            ({"kind": "deepface"}, "ferplus, fer-pytorch or onnx"),
        ],
    )
    def test_keys_that_contradict(self, keys: dict[str, object], message: str) -> None:
        with pytest.raises(UsageError, match=message) as caught:
            with_keys(**keys)
        assert str(caught.value).isprintable()

    @pytest.mark.parametrize(
        ("classes", "message"),
        [
            ("neutral, hapiness, sad", "hapiness is no emotion here; did you mean happiness?"),
            ("happy, joy, sad", "happiness is named twice"),
            ("cat, dog, sad", "names fewer than two of the emotions neutral, happiness"),
        ],
    )
    def test_names_that_cannot_be_meant(self, tmp_path: Path, classes: str, message: str) -> None:
        config = with_keys(kind="onnx", path=written(tmp_path, Classes(outputs=3)), classes=classes)
        with pytest.raises(UsageError, match=f"emotion.classes: {message}".replace("?", r"\?")):
            _ = build.Models(config).emotion

    def refusal(self, path: Path, recipe: OnnxEmotionRecipe) -> str:
        with pytest.raises(WeightsError) as caught:
            OnnxEmotionClassifier(path, recipe)
        message = str(caught.value)
        assert message.isprintable()
        assert f"the ONNX file {path} (emotion.path)" in message
        return message

    def test_another_number_of_outputs(self, tmp_path: Path) -> None:
        told = self.refusal(written(tmp_path, Classes(outputs=8)), OnnxEmotionRecipe(EMOTIONS))
        assert "has 8 outputs, and emotion.classes names 7" in told

    def test_colours_where_it_takes_one_channel(self, tmp_path: Path) -> None:
        path = written(tmp_path, Classes())
        told = self.refusal(path, OnnxEmotionRecipe(FERPLUS_8, channels="rgb"))
        assert "its input is (any, 1, 64, 64) instead of (N, 3, S, S) or (N, S, S, 3)" in told
        told = self.refusal(path, OnnxEmotionRecipe(FERPLUS_8, normalisation="imagenet"))
        assert "it takes one channel, and imagenet is for three colours (emotion.normalisation)" in told

    def test_another_crop_size(self, tmp_path: Path) -> None:
        told = self.refusal(written(tmp_path, Classes()), OnnxEmotionRecipe(FERPLUS_8, crop_size=48))
        assert "takes no square crops of 48 px (emotion.crop_size)" in told

    def test_what_is_no_such_net(self, tmp_path: Path) -> None:
        recipe = OnnxEmotionRecipe(FERPLUS_8)
        assert "is absent" in self.refusal(tmp_path / "no.onnx", recipe)
        assert "is no ONNX file, or it is cut" in self.refusal(written(tmp_path, Classes().content()[:99]), recipe)
        assert "instead of (N, 1, S, S)" in self.refusal(written(tmp_path, odd([(1, 2, 32, 32)])), recipe)

    def test_a_net_that_gives_no_numbers(self, tmp_path: Path) -> None:
        net = Classes().content().replace(Classes().matrix.tobytes(), np.full_like(Classes().matrix, np.nan).tobytes())
        made = OnnxEmotionClassifier(written(tmp_path, net), OnnxEmotionRecipe(FERPLUS_8))
        with pytest.raises(WeightsError, match="what is no number"):
            made.classify(crops_of(64))


def test_a_list_in_a_file_is_read_and_written_as_one(tmp_path: Path) -> None:
    text = "emotion:\n  kind: onnx\n  path: mine.onnx\n  classes: [neutral, happy, 'sad']\n  prior: [0.5, 0.25, 1]\n"
    (tmp_path / "config.yaml").write_text(text)
    config = load_config(tmp_path / "config.yaml", environment={})
    assert config.emotion.classes == ("neutral", "happy", "sad")
    assert config.emotion.prior == (0.5, 0.25, 1.0)
    (tmp_path / "again.yaml").write_text(as_yaml(config))
    assert load_config(tmp_path / "again.yaml", environment={}) == config
    environment = {
        "STREAMER_EMOTION__KIND": "onnx",
        "STREAMER_EMOTION__PATH": "mine.onnx",
        "STREAMER_EMOTION__CLASSES": "[neutral, happy, sad]",
        "STREAMER_EMOTION__PRIOR": "0.5,0.25,1",
    }
    assert load_config(environment=environment).emotion == config.emotion


@pytest.mark.timeout(60)
def test_from_a_photo_to_a_results_file(tmp_path: Path, astronaut: UInt8, capsys: pytest.CaptureFixture[str]) -> None:
    path, photo, results = written(tmp_path, Classes()), tmp_path / "photo.png", tmp_path / "photo.jsonl"
    cv2.imwrite(str(photo), astronaut)
    mine = ["emotion.kind=onnx", f"emotion.path={path}", f"emotion.classes={','.join(FERPLUS_8)}"]
    words = [word for one in mine for word in ("--set", one)]
    assert cli.main(["process", str(photo), "--no-video", "--results", str(results), *words]) == 0
    header, frame = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()[:2]]
    assert header["models"]["mood.onnx"] == build.describe(load_config(overrides=mine)).models["mood.onnx"]
    assert "emotion-ferplus" not in header["models"]
    picture = BgrPicture(astronaut)
    landmarks = mtcnn().detect([picture])[0].landmarks[0]
    made = classifier(load_config(overrides=mine))
    wanted = made.classify(made.crop(picture, landmarks)[None])[0]
    found = list(frame["faces"][0]["emotion"]["probabilities"].values())
    np.testing.assert_allclose(found, wanted, atol=0.02)

    path.unlink()
    assert cli.main(["process", str(photo), "--no-video", "--results", str(tmp_path / "b.jsonl"), *words]) == 4
    assert "is absent" in capsys.readouterr().err


def test_two_files_of_one_name_are_both_in_the_header(tmp_path: Path) -> None:
    path = written(tmp_path, Classes(channels=3, side=112))
    overrides = {
        "emotion.kind": "onnx",
        "emotion.path": str(path),
        "emotion.classes": ",".join(FERPLUS_8),
        "embedder.kind": "onnx",
        "embedder.path": str(path),
    }
    assert {"mood.onnx", "mood.onnx (emotion)"} <= set(build.describe(load_config(overrides=overrides)).models)


def test_without_emotions_no_emotion_net_is_in_the_header() -> None:
    models = build.describe(with_keys(enabled="false")).models
    assert "emotion-ferplus" not in models
    assert "mtcnn-pnet" in models


@pytest.mark.parametrize("word", ["calm", "Happy", "surprised", "sad", "angry", "disgusted", "afraid", "contemptuous"])
def test_outputs_are_known_by_the_words_that_data_sets_use(word: str) -> None:
    emotion = emotion_of(word)
    assert place_of(word) == (EMOTIONS.index(emotion) if emotion in EMOTIONS else None)
    assert (place_of(word) is None) == (word == "contemptuous")
