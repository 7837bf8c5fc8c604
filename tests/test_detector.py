"""The cascade against facenet-pytorch's own, and what `refine` and the bounds promise."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamer import geometry
from streamer.detectors import boxes as box
from streamer.detectors import mtcnn as cascade_module
from streamer.detectors.cascade import CascadeNets, Part
from streamer.detectors.mtcnn import MtcnnDetector
from streamer.detectors.mtcnn_openvino import OpenVinoCascade
from streamer.detectors.mtcnn_torch import TorchCascade
from streamer.detectors.mtcnn_yuv import OpenVinoYuvCascade
from streamer.detectors.summed_area import SummedAreas
from streamer.detectors.torch_summed_area import SummedArea
from streamer.pictures import BgrPicture, Picture, UInt8
from streamer.sources.video import VideoSource
from streamer.stats import RunStats
from streamer.types import Faces, Float32
from tests.nets import mtcnn

Reference = Callable[[UInt8], tuple[Float32, Float32, Float32]]


@pytest.fixture(scope="session")
def reference() -> Reference:
    """facenet-pytorch's detector: (H, W, 3) BGR to boxes, scores, landmarks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it loads its weights the old way
        from facenet_pytorch import MTCNN

        net = MTCNN(keep_all=True, min_face_size=20)

    def detect(bgr: UInt8) -> tuple[Float32, Float32, Float32]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            boxes, scores, landmarks = net.detect(np.ascontiguousarray(bgr[..., ::-1]), landmarks=True)
        if boxes is None:
            return np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32)
        return boxes.astype(np.float32), scores.astype(np.float32), landmarks.astype(np.float32)

    return detect


@pytest.fixture(scope="session")
def detector() -> MtcnnDetector:
    return mtcnn(score_threshold=0.7)


def collage(portraits: Sequence[UInt8], seed: int) -> UInt8:
    """Paste portraits at random sizes on a noisy ground: (480, 720, 3)."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 255, (24, 36, 3)).astype(np.uint8)
    ground = cv2.resize(coarse, (720, 480), interpolation=cv2.INTER_CUBIC)
    for column in range(4):
        portrait = portraits[int(random.integers(len(portraits)))]
        height = int(random.integers(90, 400))
        width = min(180, round(portrait.shape[1] * height / portrait.shape[0]))
        small = cv2.resize(portrait, (round(portrait.shape[1] * height / portrait.shape[0]), height))
        top = int(random.integers(0, 480 - height))
        ground[top : top + height, column * 180 : column * 180 + width] = small[:, :width]
    return np.asarray(ground, np.uint8)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", range(6))
def test_finds_the_reference_s_faces_on_collages(
    detector: MtcnnDetector, reference: Reference, astronaut: UInt8, hopper: UInt8, seed: int
) -> None:
    picture = collage([astronaut, hopper], seed)
    boxes, scores, landmarks = reference(picture)
    faces = detector.detect([BgrPicture(picture)])[0]
    assert len(boxes) >= 1
    assert len(faces) == len(boxes)
    overlaps = geometry.iou(faces.xyxy, geometry.clip(boxes, 720, 480))
    partners = overlaps.argmax(axis=1)
    assert sorted(partners) == list(range(len(boxes)))
    # Sums in another order: the nets' float32 rounding, seldom a window moved by a pixel.
    assert np.median(overlaps.max(axis=1)) > 0.999
    assert overlaps.max(axis=1).min() > 0.95
    np.testing.assert_allclose(faces.scores, scores[partners], atol=2e-3)
    assert float(np.median(np.abs(faces.landmarks - landmarks[partners]))) < 0.05


@pytest.mark.shared_data
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("name", "step"), [("crowd_1080p", 4), ("single_face_360p", 2), ("expressions_360p", 12)])
def test_equals_the_stored_reference_on_real_video(
    detector: MtcnnDetector, shared_data: Path, name: str, step: int
) -> None:
    stored = json.loads((shared_data / "videos" / f"{name}.reference.json").read_text())["frames"]
    source = VideoSource(shared_data / "videos" / f"{name}.mp4")
    overlaps: list[float] = []
    wanted = found = false = 0
    while (frame := source.read()) is not None:
        if frame.index % step:
            continue
        faces = detector.detect([frame.picture])[0]
        boxes = np.array([face["box"] for face in stored[frame.index]["faces"]], np.float32).reshape(-1, 4)
        scores = np.array([face["score"] for face in stored[frame.index]["faces"]], np.float32)
        pairs = geometry.iou(geometry.clip(boxes, source.info.width, source.info.height), faces.xyxy)
        best = pairs.max(axis=1, initial=0)[scores >= 0.9]
        wanted += len(best)
        found += int((best >= 0.5).sum())
        overlaps += best.tolist()
        false += int((pairs.max(axis=0, initial=0)[faces.scores >= 0.9] < 0.5).sum())
    source.close()
    assert found / wanted >= 0.995
    assert found / (found + false) >= 0.99
    assert np.median(overlaps) >= 0.98


every_backend = pytest.mark.parametrize("make_nets", [OpenVinoCascade, OpenVinoYuvCascade, TorchCascade])


@every_backend
def test_a_batch_gives_bit_for_bit_what_single_pictures_give(
    make_nets: Callable[[], CascadeNets], astronaut: UInt8, hopper: UInt8
) -> None:
    detector = MtcnnDetector(make_nets(), score_threshold=0.7)
    pictures: list[Picture] = [BgrPicture(collage([astronaut, hopper], 2)), BgrPicture(astronaut), BgrPicture(hopper)]
    together = detector.detect(pictures)
    for picture, batched in zip(pictures, together, strict=True):
        alone = detector.detect([picture])[0]
        assert_identical(alone, batched)
    boxes = [faces.xyxy for faces in together]
    refined = detector.refine(pictures, boxes)
    for picture, expected, batched in zip(pictures, boxes, refined, strict=True):
        assert_identical(detector.refine([picture], [expected])[0], batched)


@every_backend
def test_a_crop_s_answer_does_not_depend_on_how_many_are_beside_it(
    make_nets: Callable[[], CascadeNets], astronaut: UInt8
) -> None:
    prepared = make_nets().prepare([Part(BgrPicture(astronaut), (0, 0, 512, 512))])
    random = np.random.default_rng(3)
    corners = random.integers(0, 400, (66, 2))
    windows = np.concatenate([corners, corners + random.integers(20, 110, (66, 1))], axis=1)
    owners = np.zeros(66, np.intp)
    all_refined, all_concluded = prepared.refine(windows, owners), prepared.conclude(windows, owners)
    for count in (1, 2, 3, 5, 8, 31, 32, 33, 65):
        for whole, part in [
            (all_refined, prepared.refine(windows[:count], owners[:count])),
            (all_concluded, prepared.conclude(windows[:count], owners[:count])),
        ]:
            for expected, found in zip(whole, part, strict=True):
                np.testing.assert_array_equal(found, expected[:count])


def assert_identical(first: Faces, second: Faces) -> None:
    np.testing.assert_array_equal(first.xyxy, second.xyxy)
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.landmarks, second.landmarks)


def test_a_region_is_searched_alone_and_answers_in_the_picture_s_coordinates(
    detector: MtcnnDetector, astronaut: UInt8
) -> None:
    wide = np.concatenate([astronaut, astronaut], axis=1)
    both = detector.detect([BgrPicture(wide)])[0]
    right = detector.detect([BgrPicture(wide)], [(512, 0, 1024, 512)])[0]
    assert len(both) == 2
    assert len(right) == 1
    assert geometry.iou(right.xyxy, both.xyxy).max() > 0.9
    assert right.xyxy[0, 0] > 512
    assert (right.landmarks[0, :, 0] > 512).all()


def test_a_region_outside_the_picture_is_refused(detector: MtcnnDetector, astronaut: UInt8) -> None:
    with pytest.raises(ValueError, match="outside the picture of 512 × 512"):
        detector.detect([BgrPicture(astronaut)], [(600, 0, 700, 100)])


@pytest.mark.parametrize("shape", [(2, 2), (1, 300), (11, 11), (13, 40), (300, 1)])
def test_a_tiny_picture_holds_no_face(detector: MtcnnDetector, shape: tuple[int, int]) -> None:
    picture = BgrPicture(np.full((*shape, 3), 128, np.uint8))
    assert len(detector.detect([picture])[0]) == 0
    assert len(detector.refine([picture], [np.array([[0, 0, 1, 1]], np.float32)])[0]) == 0


def test_no_pictures_give_no_answers(detector: MtcnnDetector) -> None:
    assert detector.detect([]) == []
    assert detector.refine([], []) == []


def test_faces_below_the_threshold_are_not_returned(astronaut: UInt8, hopper: UInt8) -> None:
    picture = BgrPicture(collage([astronaut, hopper], 0))
    strict = mtcnn(score_threshold=0.999).detect([picture])[0]
    lenient = mtcnn(score_threshold=0.5).detect([picture])[0]
    assert (strict.scores >= 0.999).all()
    assert len(strict) < len(lenient)


def test_smaller_faces_than_asked_for_are_not_searched(astronaut: UInt8) -> None:
    shrunk = cv2.resize(astronaut, (200, 200), interpolation=cv2.INTER_AREA)  # a face of about 40 px
    small = BgrPicture(np.asarray(shrunk, np.uint8))
    assert len(mtcnn(min_face_pixels=20).detect([small])[0]) == 1
    assert len(mtcnn(min_face_pixels=100).detect([small])[0]) == 0


@pytest.mark.parametrize(("threshold", "smallest"), [(0.0, 20), (1.5, 20), (0.9, 11)])
def test_settings_out_of_range_are_refused(threshold: float, smallest: int) -> None:
    with pytest.raises(ValueError, match="must"):
        mtcnn(score_threshold=threshold, min_face_pixels=smallest)


@pytest.mark.parametrize(("shift_x", "shift_y", "scale"), [(0.0, 0.0, 1.0), (0.2, -0.1, 1.0), (-0.15, 0.15, 1.2)])
def test_refine_finds_a_face_that_has_moved_a_little(
    detector: MtcnnDetector, astronaut: UInt8, shift_x: float, shift_y: float, scale: float
) -> None:
    truth = detector.detect([BgrPicture(astronaut)])[0].xyxy[0]
    centre, half = (truth[:2] + truth[2:]) / 2, (truth[2:] - truth[:2]) / 2
    moved = centre + np.array([shift_x, shift_y]) * 2 * half
    expected = np.concatenate([moved - half * scale, moved + half * scale])[None].astype(np.float32)
    faces = detector.refine([BgrPicture(astronaut)], [expected])[0]
    assert len(faces) == 1
    assert geometry.iou(faces.xyxy, truth[None])[0, 0] > 0.75


def test_refine_finds_nothing_where_nobody_is(detector: MtcnnDetector, astronaut: UInt8) -> None:
    empty = np.array([[10, 380, 90, 480], [600, 600, 700, 700], [-80, -80, -10, -10]], np.float32)
    assert len(detector.refine([BgrPicture(astronaut)], [empty])[0]) == 0


def test_two_boxes_that_lead_to_one_face_give_it_once(detector: MtcnnDetector, astronaut: UInt8) -> None:
    truth = detector.detect([BgrPicture(astronaut)])[0].xyxy
    pair = np.concatenate([truth, truth + np.float32(4)])
    assert len(detector.refine([BgrPicture(astronaut)], [pair])[0]) == 1


def test_boxes_are_clipped_to_the_picture(detector: MtcnnDetector, astronaut: UInt8) -> None:
    cropped = np.ascontiguousarray(astronaut[60:, 190:])  # the face's edge lies on the border
    faces = detector.detect([BgrPicture(cropped)])[0]
    assert (faces.xyxy >= 0).all()
    assert (faces.xyxy[:, [0, 2]] <= cropped.shape[1]).all()
    assert (faces.xyxy[:, [1, 3]] <= cropped.shape[0]).all()


@pytest.mark.timeout(60)
def test_a_huge_noisy_picture_stays_within_the_stated_bounds(
    detector: MtcnnDetector, astronaut: UInt8, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cascade_module, "MAX_PICTURE_PIXELS", 500_000)
    monkeypatch.setattr(cascade_module, "MAX_CANDIDATES", 60)
    random = np.random.default_rng(0)
    large = random.integers(0, 255, (1200, 1200, 3)).astype(np.uint8)
    large[100:1124, 100:1124] = cv2.resize(astronaut, (1024, 1024))
    whole = detector.detect([BgrPicture(large)])[0]
    assert len(whole) <= 60
    face = detector.detect([BgrPicture(astronaut)])[0].xyxy[:1] * 2 + 100
    assert geometry.iou(whole.xyxy, face).max() > 0.8


def test_area_resampling_equals_adaptive_average_pooling() -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (67, 91, 3)).astype(np.uint8)
    table = SummedArea(pixels, torch.device("cpu"))
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    for height, width in [(12, 17), (67, 91), (40, 90), (1, 1)]:
        expected = (torch.nn.functional.adaptive_avg_pool2d(tensor, (height, width)) - 127.5) / 128
        torch.testing.assert_close(table.level(height, width), expected, atol=1e-6, rtol=0)
    windows = torch.tensor([[3, 5, 60, 50], [80, 60, 91, 67], [0, 0, 1, 1]])
    crops = table.crops(windows, 24)
    for crop, (left, top, right, bottom) in zip(crops, windows.tolist(), strict=True):
        part = tensor[:, :, top:bottom, left:right]
        expected = (torch.nn.functional.adaptive_avg_pool2d(part, 24)[0] - 127.5) / 128
        torch.testing.assert_close(crop, expected, atol=1e-6, rtol=0)


# The last is too wide for places in 16 bits.
@pytest.mark.parametrize("shapes", [[(67, 91), (40, 33)], [(40, 33)], [(3, 40_000)]])
def test_resized_areas_are_those_of_adaptive_average_pooling(shapes: list[tuple[int, int]]) -> None:
    random = np.random.default_rng(1)
    pictures = [random.integers(0, 255, (*shape, 3)).astype(np.uint8) for shape in shapes]
    areas = SummedAreas(pictures)
    tensors = [(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() - 127.5) / 128 for pixels in pictures]
    for height, width in [(12, 17), (40, 90), (3, 36_000), (1, 1)]:
        for owner, tensor in enumerate(tensors):
            strips = [slice(0, height // 2 + 1), slice(height // 3, height)]
            expected = torch.nn.functional.adaptive_avg_pool2d(tensor, (height, width))
            for strip, found in zip(strips, areas.level(owner, height, width, strips), strict=True):
                torch.testing.assert_close(as_planes(found), expected[:, :, strip], atol=1e-5, rtol=0)
    owners = np.array([0, len(shapes) - 1, 0, 0])
    windows = np.array([[3, 0, 33, 3], [30, 1, 33, 3], [0, 0, 1, 1], [2, 1, 30, 2]])
    crops = np.concatenate([chunk.copy() for chunk in areas.crops(windows, owners, 24, chunk=3)])
    for crop, owner, (left, top, right, bottom) in zip(as_planes(crops), owners, windows.tolist(), strict=True):
        part = tensors[owner][:, :, top:bottom, left:right]
        torch.testing.assert_close(crop, torch.nn.functional.adaptive_avg_pool2d(part, 24)[0], atol=1e-5, rtol=0)


def as_planes(pixels: Float32) -> torch.Tensor:
    """Turn (N, 1, h, 3w) rows of interleaved pixels into (N, 3, h, w)."""
    count, _, height, _ = pixels.shape
    return torch.from_numpy(pixels.reshape(count, height, -1, 3).transpose(0, 3, 1, 2).copy())


@pytest.mark.parametrize(
    ("make_nets", "least", "apart"), [(OpenVinoCascade, 0.999, 1e-3), (OpenVinoYuvCascade, 0.8, 0.06)]
)
def test_openvino_finds_what_torch_finds(
    make_nets: Callable[[], CascadeNets], least: float, apart: float, astronaut: UInt8, hopper: UInt8
) -> None:
    """Faces, scores and landmarks; other resampling, and bfloat16, move boxes by some hundredths of a side."""
    pictures: list[Picture] = [BgrPicture(collage([astronaut, hopper], 2)), BgrPicture(astronaut)]
    usual = MtcnnDetector(TorchCascade(), score_threshold=0.9)
    fast = MtcnnDetector(make_nets(), score_threshold=0.9)
    for expected, found in zip(usual.detect(pictures), fast.detect(pictures), strict=True):
        assert len(found) == len(expected) > 0
        overlaps = geometry.iou(expected.xyxy, found.xyxy)
        rows = overlaps.argmax(axis=1)
        assert overlaps.max(axis=1).min() >= least
        assert np.abs(found.scores[rows] - expected.scores).max() <= apart
        sides = (expected.xyxy[:, 2:] - expected.xyxy[:, :2]).max(axis=1)
        assert (np.abs(found.landmarks[rows] - expected.landmarks).max(axis=(1, 2)) / sides).max() <= apart
    boxes = [faces.xyxy for faces in usual.detect(pictures)]
    for expected, found in zip(usual.refine(pictures, boxes), fast.refine(pictures, boxes), strict=True):
        assert geometry.iou(expected.xyxy, found.xyxy).max(axis=1).min() >= least


@every_backend
def test_two_threads_get_what_one_gets(make_nets: Callable[[], CascadeNets], astronaut: UInt8, hopper: UInt8) -> None:
    fast = MtcnnDetector(make_nets())
    pictures = [BgrPicture(astronaut), BgrPicture(hopper)] * 4
    alone = [fast.detect([picture])[0] for picture in pictures]
    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(lambda picture: fast.detect([picture])[0], pictures))
    for first, second in zip(alone, together, strict=True):
        assert_identical(first, second)


def test_a_search_for_larger_faces_passes_over_smaller_ones(detector: MtcnnDetector, astronaut: UInt8) -> None:
    picture = BgrPicture(np.asarray(cv2.resize(astronaut, (200, 200)), np.uint8))
    face = detector.detect([picture])[0]
    side = float(np.ptp(face.xyxy[0, ::2]))
    assert len(detector.detect([picture], min_face_pixels=4 * side)[0]) == 0
    with pytest.raises(ValueError, match="at least 12"):
        detector.detect([picture], min_face_pixels=11)


def test_without_its_first_level_a_search_gives_large_faces_their_usual_boxes(
    detector: MtcnnDetector, astronaut: UInt8
) -> None:
    """The other levels are the usual pyramid's own, so the face is found in the same cells."""
    usual = detector.detect([BgrPicture(astronaut)])[0]
    coarse = detector.detect([BgrPicture(astronaut)], min_face_pixels=20 / 0.709)[0]
    assert_identical(usual[usual.scores > 0.9], coarse[coarse.scores > 0.9])


def test_the_stages_of_a_search_are_timed(astronaut: UInt8) -> None:
    stats = RunStats()
    MtcnnDetector(OpenVinoYuvCascade(stats=stats), stats=stats).detect([BgrPicture(astronaut)])
    assert {"prepare", "pyramid", "pnet", "rnet", "onet", "nms"} <= {stage.name for stage in stats.summary().stages}


def test_without_torch_the_cascade_is_imported_and_searches() -> None:
    script = """
import sys
sys.modules["torch"] = None
import numpy as np
from streamer.detectors.mtcnn import MtcnnDetector
from streamer.detectors.mtcnn_openvino import OpenVinoCascade
from streamer.detectors.mtcnn_yuv import OpenVinoYuvCascade
from streamer.pictures import BgrPicture
for nets in (OpenVinoCascade(), OpenVinoYuvCascade()):
    MtcnnDetector(nets).detect([BgrPicture(np.zeros((64, 64, 3), np.uint8))])
assert sys.modules["openvino_telemetry"] is None
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)


boxes_and_scores = st.lists(
    st.tuples(*[st.floats(0, 100, width=32)] * 2, *[st.floats(1, 60, width=32)] * 2, st.floats(0.0625, 1, width=32)),
    max_size=30,
)


@given(boxes_and_scores, st.floats(0.1, 0.9))
def test_suppression_keeps_the_best_and_nothing_that_overlaps_it(
    rows: list[tuple[float, float, float, float, float]], threshold: float
) -> None:
    table = np.array(rows, np.float32).reshape(-1, 5)
    xyxy = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    kept = box.nms(xyxy, table[:, 4], threshold)
    overlaps = geometry.iou(xyxy, xyxy)
    between = overlaps[np.ix_(kept, kept)] - np.eye(len(kept))
    assert (between <= threshold + 1e-5).all()
    assert (np.diff(table[kept, 4]) <= 0).all()
    for index in set(range(len(rows))) - set(kept.tolist()):
        better = kept[table[kept, 4] >= table[index, 4]]
        assert overlaps[index, better].max() > threshold - 1e-5


@pytest.mark.cuda
@pytest.mark.timeout(60)
def test_half_precision_on_the_gpu_finds_the_same_faces(
    detector: MtcnnDetector, astronaut: UInt8, hopper: UInt8
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    pictures: list[Picture] = [BgrPicture(collage([astronaut, hopper], seed)) for seed in range(3)]
    fast = MtcnnDetector(TorchCascade("cuda", torch.float16), score_threshold=0.7)
    for on_cpu, on_gpu in zip(detector.detect(pictures), fast.detect(pictures), strict=True):
        sure = on_cpu.xyxy[on_cpu.scores >= 0.95]
        assert geometry.iou(sure, on_gpu.xyxy).max(axis=1).min() > 0.8
