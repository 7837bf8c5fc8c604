"""An ONNX net that a user brings gives what it should, and a file that is no such net is told in one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from streamer.config import load_config
from streamer.devices import select_device
from streamer.embedders import build_embedder, embedder_id
from streamer.errors import WeightsError
from streamer.onnx_file import onnx_file, read
from streamer.recognition.onnx_openvino import OnnxEmbedder, OnnxRecipe, onnx_id
from streamer.stages import Crops
from tests.onnx_nets import Conv, as_model, conv_by_numpy, odd

CROPS: Crops = np.random.default_rng(3).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
RECIPE = OnnxRecipe()


def written(folder: Path, content: bytes) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(content)
    return path


def refusal(path: Path, recipe: OnnxRecipe = RECIPE) -> str:
    """Return the message with which a file is refused, after seeing that it is one line that names the file."""
    with pytest.raises(WeightsError) as caught:
        OnnxEmbedder(path, recipe)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 700
    assert str(path) in message
    assert caught.value.exit_code == 4
    return message


# Mean and deviation of red, green and blue, from the pages of those who train such nets.
NORMALISATIONS = {
    "arcface": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "facenet": ((127.5, 127.5, 127.5), (128, 128, 128)),
    "unit": ((0, 0, 0), (255, 255, 255)),
    "imagenet": ((0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255)),
    "raw": ((0, 0, 0), (1, 1, 1)),
}


class TestVectors:
    @pytest.mark.parametrize("channels", ["rgb", "bgr"])
    @pytest.mark.parametrize("normalisation", NORMALISATIONS)
    def test_are_what_numpy_computes(self, tmp_path: Path, normalisation: str, channels: str) -> None:
        recipe = OnnxRecipe(normalisation=normalisation, channels=channels)
        vectors = OnnxEmbedder(written(tmp_path, Conv().content()), recipe).describe(CROPS)
        mean, deviation = (np.array(three)[:, None, None] for three in NORMALISATIONS[normalisation])
        for crop, vector in zip(CROPS, vectors, strict=True):
            rgb = (crop[..., ::-1].transpose(2, 0, 1) - mean) / deviation
            wanted = conv_by_numpy(np.asarray(rgb if channels == "rgb" else rgb[::-1], np.float32))
            # Tolerance: float32 sums of 27 products, and a mean over 225.
            assert np.allclose(vector, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())

    @pytest.mark.parametrize(
        "net",
        [
            Conv(batch=1),
            Conv(batch="N"),
            Conv(batch=4),
            Conv(side="S"),
            Conv(is_channels_first=False),
            Conv(is_channels_first=False, batch=2, side="S"),
            Conv(element=TensorProto.UINT8),
        ],
        ids=["one", "any number", "four", "any side", "colours last", "any side, colours last", "whole numbers"],
    )
    def test_are_the_same_however_the_file_words_its_input(self, tmp_path: Path, net: Conv) -> None:
        recipe = OnnxRecipe(crop_size=32, normalisation="raw")
        usual = OnnxEmbedder(written(tmp_path, Conv().content()), recipe).embed(CROPS)
        vectors = OnnxEmbedder(written(tmp_path, net.content()), recipe).embed(CROPS)
        assert np.allclose(vectors, usual, atol=1e-6)

    def test_weights_that_are_listed_as_inputs_as_older_files_do_are_none(self, tmp_path: Path) -> None:
        model: ModelProto = Conv().model()
        model.ir_version = 3
        for tensor in model.graph.initializer:
            model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
        usual = OnnxEmbedder(written(tmp_path, Conv().content()), RECIPE).embed(CROPS)
        vectors = OnnxEmbedder(written(tmp_path, model.SerializeToString()), RECIPE).embed(CROPS)
        assert np.array_equal(vectors, usual)

    def test_half_precision_inputs_are_taken(self, tmp_path: Path) -> None:
        path = written(tmp_path, Conv(element=TensorProto.FLOAT16).content())
        usual = OnnxEmbedder(written(tmp_path / "..", Conv().content()), RECIPE).embed(CROPS)
        assert np.allclose(OnnxEmbedder(path, RECIPE).embed(CROPS), usual, atol=1e-3)

    def test_the_crop_s_side_is_the_file_s_or_the_template_s(self, tmp_path: Path) -> None:
        assert OnnxEmbedder(written(tmp_path, Conv(side=48).content()), RECIPE).crop_size == 48
        any_side = written(tmp_path, Conv(side="S").content())
        assert OnnxEmbedder(any_side, RECIPE).crop_size == 112
        assert OnnxEmbedder(any_side, OnnxRecipe(template="dlib")).crop_size == 150
        assert OnnxEmbedder(any_side, OnnxRecipe(crop_size=64)).crop_size == 64

    def test_openvino_s_telemetry_stays_off(self, tmp_path: Path) -> None:
        OnnxEmbedder(written(tmp_path, Conv().content()), RECIPE)
        assert sys.modules["openvino_telemetry"] is None


def external(location: str) -> bytes:
    """Return a net whose last matrix lies in another file."""
    model: ModelProto = Conv().model()
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "last")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return bytes(model.SerializeToString())


def external_in_a_node() -> bytes:
    """Return a net with an attribute that lies in another file."""
    value = numpy_helper.from_array(np.ones(3, np.float32), "value")
    value.ClearField("raw_data")
    value.data_location = TensorProto.EXTERNAL
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["y"], value=value)],
        "constant",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
    )
    return bytes(as_model(graph).SerializeToString())


def unknown_operation() -> bytes:
    return Conv().content().replace(b"GlobalAveragePool", b"NobodyKnowsSuchOp")


class TestRefused:
    def test_an_absent_file(self, tmp_path: Path) -> None:
        assert "is absent" in refusal(tmp_path / "no.onnx")
        with pytest.raises(WeightsError, match="is absent"):
            onnx_id(tmp_path / "no.onnx", RECIPE)

    def test_a_folder(self, tmp_path: Path) -> None:
        assert "cannot be read" in refusal(tmp_path)
        with pytest.raises(WeightsError, match="cannot be read"):
            onnx_id(tmp_path, RECIPE)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"garbage, and no net",
            b"\x08\x07",
            b"\xff" * 100,
            Conv().content()[:-20],
            Conv().content()[:300],
            b"\x80\x05\x95\x00cbuiltins\nprint\n",
            b"PK\x03\x04" + bytes(100),
        ],
        ids=["empty", "text", "no graph", "no end", "cut", "cut early", "pickle", "zip"],
    )
    def test_what_is_no_onnx_file(self, tmp_path: Path, content: bytes) -> None:
        assert "is no ONNX file, or it is cut" in refusal(written(tmp_path, content))

    def test_any_beginning_of_a_file_is_one_line(self, tmp_path: Path) -> None:
        content = Conv().content()
        for length in range(0, len(content), 97):
            refusal(written(tmp_path, content[:length]))

    def test_files_with_any_byte_changed_are_taken_or_refused_in_one_line(self, tmp_path: Path) -> None:
        random, content = np.random.default_rng(1), Conv().content()
        for _ in range(60):
            changed = bytearray(content)
            changed[random.integers(len(content) - len(content) // 4)] = random.integers(256)
            path = written(tmp_path, bytes(changed))
            try:
                embedder = OnnxEmbedder(path, RECIPE)
            except WeightsError:
                refusal(path)
            else:
                side = embedder.crop_size
                assert embedder.describe(np.zeros((1, side, side, 3), np.uint8)).dtype == np.float32

    @pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/passwd", "a/../../weights.bin"])
    def test_weights_in_other_files_inside_its_folder_or_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
    ) -> None:
        folder = tmp_path / "nets"
        folder.mkdir()
        for place in (folder, tmp_path):
            (place / "weights.bin").write_bytes(bytes(4 * 8 * 4))
        monkeypatch.chdir(folder)
        assert "keeps weights in other files" in refusal(written(folder, external(location)))

    def test_an_attribute_in_another_file(self, tmp_path: Path) -> None:
        assert "keeps weights in other files" in refusal(written(tmp_path, external_in_a_node()))

    def test_numbers_that_are_said_to_lie_in_the_file_itself_are_taken(self, tmp_path: Path) -> None:
        model: ModelProto = Conv().model()
        for tensor in model.graph.initializer:
            tensor.data_location = TensorProto.DEFAULT
        assert OnnxEmbedder(written(tmp_path, model.SerializeToString()), RECIPE).dimension == 8

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (odd([(1, 4, 32, 32)]), "its input is (1, 4, 32, 32) instead of (N, 3, S, S) or (N, S, S, 3)"),
            (odd([(1, 3, 32)], (1,), operation="Identity"), "its input is (1, 3, 32) instead of"),
            (odd([(1, 3, 32, 40)]), "which takes no square crops of 32 px"),
            (odd([(1, 3, 32, 32)] * 2), "it has 2 inputs instead of one"),
            (odd(output_count=2), "it has 2 outputs instead of one"),
            (odd(output=(1, 3, 32, 32), operation="Identity"), "its output for one crop is (1, 3, 32, 32) instead of"),
            (odd([(1, 3, 5000, 5000)]), "its crops would have 5000 px a side"),
            (Conv(outputs=1).content(), "its output for one crop is (1, 1) instead of"),
            (Conv(element=TensorProto.DOUBLE).content(), "its input is of the type f64 instead of f32"),
            (unknown_operation(), "is refused by OpenVINO"),
        ],
        ids=[
            "four colours",
            "no picture",
            "no square",
            "two inputs",
            "two outputs",
            "maps",
            "huge",
            "one number",
            "double",
            "unknown operation",
        ],
    )
    def test_another_net(self, tmp_path: Path, content: bytes, reason: str) -> None:
        assert reason in refusal(written(tmp_path, content))

    def test_a_crop_size_that_the_file_does_not_take(self, tmp_path: Path) -> None:
        path = written(tmp_path, Conv(side=48).content())
        assert "no square crops of 112 px (embedder.crop_size)" in refusal(path, OnnxRecipe(crop_size=112))

    def test_a_file_larger_than_such_files_may_be(self, tmp_path: Path) -> None:
        path = tmp_path / "net.onnx"
        with path.open("wb") as file:
            os.truncate(file.fileno(), 2**31)  # a hole: no disk is used
        assert "larger than the 2 GiB" in refusal(path)


class TestIdentity:
    def test_is_the_file_s_name_and_sha256(self, tmp_path: Path) -> None:
        path = written(tmp_path, b"1")
        first = onnx_id(path, RECIPE)
        assert first.name == "net.onnx"
        assert first.sha256 == "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
        assert onnx_id(path, RECIPE) == first
        path.write_bytes(b"22")
        assert onnx_id(path, RECIPE).sha256 != first.sha256

    @pytest.mark.parametrize(
        ("recipe", "name"),
        [
            (OnnxRecipe(template="dlib"), "net.onnx (dlib template)"),
            (OnnxRecipe(channels="bgr", normalisation="raw"), "net.onnx (raw normalisation, bgr channels)"),
            (OnnxRecipe(crop_size=96), "net.onnx (96 px)"),
        ],
    )
    def test_tells_of_pixels_made_ready_in_another_way(self, tmp_path: Path, recipe: OnnxRecipe, name: str) -> None:
        assert onnx_id(written(tmp_path, b"1"), recipe).name == name

    def test_a_name_of_strange_bytes_is_one_line_of_text(self, tmp_path: Path) -> None:
        path = tmp_path / "a\nb\udcff.onnx"
        path.write_bytes(b"1")
        name = onnx_id(path, RECIPE).name
        assert name.isprintable()
        name.encode()


def test_reading_gives_the_whole_file(tmp_path: Path) -> None:
    content = Conv().content()
    assert read(onnx_file(written(tmp_path, content), "embedder.path")) == content


def test_the_configuration_s_names_are_all_known(tmp_path: Path) -> None:
    """Each value that a key may have makes an embedder."""
    path = written(tmp_path, Conv(side="S").content())
    device = select_device("cpu", 1, "openvino")
    known: set[str] = set()
    for template in ("arcface", "dlib", "facenet"):
        for normalisation in NORMALISATIONS:
            for channels in ("rgb", "bgr"):
                values = {"kind": "onnx", "path": str(path), "template": template}
                values |= {"normalisation": normalisation, "channels": channels}
                config = load_config(overrides={f"embedder.{key}": value for key, value in values.items()})
                assert (
                    build_embedder(config, device).crop_size == {"arcface": 112, "dlib": 150, "facenet": 160}[template]
                )
                known.add(embedder_id(config).name)
    assert len(known) == 30


def test_defaults_are_arcface_s(tmp_path: Path) -> None:
    path = written(tmp_path, Conv().content())
    config = load_config(overrides={"embedder.kind": "onnx", "embedder.path": str(path)}, environment={})
    arcface = OnnxRecipe(crop_size=None, template="arcface", normalisation="arcface", channels="rgb")
    assert embedder_id(config) == onnx_id(path, arcface)
