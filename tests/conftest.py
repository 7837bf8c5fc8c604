"""What several tests share: the evaluation data where it is present, portraits that installed packages ship."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.pictures import UInt8
from tests.fake_camera import FakeCameras, built_library

# As the product does (models.py), before any test imports torch: waiting threads that spin make nets crawl.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the evaluation data where it is absent."""
    if SHARED_DATA.is_dir():
        return
    for item in items:
        if item.get_closest_marker("shared_data"):
            item.add_marker(pytest.mark.skip(reason=f"the evaluation data is not at {SHARED_DATA}"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    return SHARED_DATA


def packaged_picture(package: str, path: str) -> UInt8:
    """Read a picture that lies inside an installed package, (H, W, 3) uint8 BGR."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    bgr = cv2.imread(str(Path(spec.submodule_search_locations[0]) / path), cv2.IMREAD_COLOR)
    assert bgr is not None
    return np.asarray(bgr, np.uint8)


@pytest.fixture(scope="session")
def astronaut() -> UInt8:
    return packaged_picture("skimage", "data/astronaut.png")


@pytest.fixture(scope="session")
def hopper() -> UInt8:
    return packaged_picture("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")


@pytest.fixture(scope="session")
def fake_camera_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built_library(tmp_path_factory.mktemp("fake_camera"))


@pytest.fixture
def hidden_cameras(fake_camera_library: Path, tmp_path: Path) -> FakeCameras:
    """Cameras that a process sees which is given their environment."""
    return FakeCameras(tmp_path / "cameras", fake_camera_library)


@pytest.fixture
def cameras(hidden_cameras: FakeCameras, monkeypatch: pytest.MonkeyPatch) -> FakeCameras:
    """Cameras that every process sees which is started from now on, though not this one."""
    for name, value in hidden_cameras.environment.items():
        monkeypatch.setenv(name, value)
    return hidden_cameras
