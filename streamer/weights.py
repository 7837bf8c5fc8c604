"""Which weights files exist, where they lie, and whether each is the expected one. Reads hashes, loads no net.

All that the default configuration needs comes with installed packages; what does not is optional, and fetched only when
a user asks for it (`streamer.downloads`). A net never runs on random weights: whoever loads one asks `locate` for its
path, which compares size and sha256 first (about 10 ms for the largest that comes with a package, 0.2 s for facenet's).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import platformdirs

from streamer.errors import WeightsError
from streamer.weights_file import Weights as Weights
from streamer.weights_file import check as check
from streamer.weights_file import fingerprint

# The emotion net's sha256 and size in bytes: to be replaced together with the file whenever it is trained anew.
_FERPLUS_SHA256 = "d1f353e823dad0f5ddee2a0a7db1b27922eac9dc34affd2c6a5e26ea95ae01d9"
_FERPLUS_BYTES = 6_429_326
# The same of the population model; it goes with the embedder's photo vectors.
_POPULATION_SHA256 = "dc0fdd2a16956f4a90e95f2cacf56a25f0675b8dfcb466f599bf6464f956dd4d"
_POPULATION_BYTES = 292_688


def sha256_of(name: str) -> str:
    """Return the sha256 that the weights called `name` must have. Raises WeightsError where nobody has brought them."""
    weights = WEIGHTS[name]
    wanted = fingerprint(weights)
    if wanted is None:
        raise WeightsError(f"the weights {name} are absent; {weights.remedy}")
    return wanted.sha256


def locate(name: str) -> Path:
    """Return the path of the weights called `name`, checked: call this before any loader sees the file.

    Raises:
        WeightsError: The name is unknown, or the file is absent, unreadable, cut or another one.
    """
    if name not in WEIGHTS:
        raise WeightsError(f"there are no weights called {name!r}; choose one of {', '.join(WEIGHTS)}")
    return check(WEIGHTS[name])


def verify(name: str) -> None:
    """Check the weights called `name`; raises WeightsError as `locate` does."""
    locate(name)


def _inside_facenet_pytorch(file_name: str) -> Path | None:
    """Return where a file lies in the installed package; importing that instead would take seconds."""
    spec = importlib.util.find_spec("facenet_pytorch")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "data" / file_name


def _fetched(name: str, role: str, url: str, sha256: str, size_bytes: int, source: str) -> Weights:
    """Return weights of licence MIT that lie in the user's data directory once they are fetched, as they came."""
    return Weights(
        name=name,
        role=role,
        path=platformdirs.user_data_path("streamer") / "weights" / url.rpartition("/")[2],
        sha256=sha256,
        size_bytes=size_bytes,
        licence="MIT",
        source=source,
        remedy=f"fetch it: streamer models fetch {name}",
        url=url,
    )


def _brought(architecture: str, release: str, file_name: str) -> Weights:
    """Return a checkpoint of fer-pytorch, of which no sha256 is published, nor its size."""
    url = f"https://github.com/Emilien-mipt/fer-pytorch/releases/download/{release}/{file_name}"
    name = f"fer-pytorch-{architecture}"
    return Weights(
        name=name,
        role="emotion classifier: 7 probabilities a face",
        path=platformdirs.user_data_path("streamer") / "weights" / file_name,
        sha256=None,
        size_bytes=None,
        licence="MIT",
        source=f"fer-pytorch's release {release} (trained by Emin Tagiev on FER+)",
        remedy=f"download {url} and give it: streamer models fetch {name} --from FILE",
        url=url,
    )


def _mtcnn(net: str, role: str, sha256: str, size_bytes: int) -> Weights:
    return Weights(
        name=f"mtcnn-{net}",
        role=role,
        path=_inside_facenet_pytorch(f"{net}.pt"),
        sha256=sha256,
        size_bytes=size_bytes,
        licence="MIT",
        source=f"facenet-pytorch 2.5.3, data/{net}.pt (converted from David Sandberg's facenet)",
        remedy='install the package again: pip install --force-reinstall --no-deps "facenet-pytorch==2.5.3"',
    )


_REINSTALL = "install streamer again, with pip's options --force-reinstall --no-deps"
_ASSETS = Path(__file__).parent / "assets"

_ALL = (
    _mtcnn(
        "pnet",
        "face detector, first net: proposes boxes",
        "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
        28_570,
    ),
    _mtcnn(
        "rnet",
        "face detector, second net: refines boxes",
        "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
        403_147,
    ),
    _mtcnn(
        "onet",
        "face detector, third net: boxes and landmarks",
        "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
        1_559_269,
    ),
    Weights(
        name="dlib-resnet",
        role="face embedder: 128 numbers a face",
        path=_ASSETS / "dlib_resnet.safetensors",
        sha256="ca674716b856f04d7c14b24a0034ed5f8f876e4927d1104f7fc3d7d468965a7f",
        size_bytes=11_220_504,
        licence="CC0-1.0",
        source="dlib_face_recognition_resnet_model_v1.dat by Davis King (github.com/davisking/dlib-models), "
        "converted by streamer.recognition.dlib_convert",
        remedy=_REINSTALL,
    ),
    # The sha256 is the one that huggingface.co/py-feat/facenet states for its copy, and that other projects pin for the
    # file at this address.
    _fetched(
        "facenet-vggface2",
        "face embedder: 512 numbers a face",
        "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
        "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        111_898_327,
        "facenet-pytorch's release v2.2.9 (converted from David Sandberg's facenet, trained on VGGFace2)",
    ),
    Weights(
        name="population-dlib",
        role="what strangers' faces look like to the embedder: sets thresholds",
        path=_ASSETS / "population_dlib.safetensors",
        sha256=_POPULATION_SHA256,
        size_bytes=_POPULATION_BYTES,
        licence="MIT",
        source="parameters of a mixture, fitted by the streamer project to one picture each of 1,241 people of LFW",
        remedy=_REINSTALL,
    ),
    Weights(
        name="emotion-ferplus",
        role="emotion classifier: 7 probabilities a face",
        path=_ASSETS / "emotion_ferplus.safetensors",
        sha256=_FERPLUS_SHA256,
        size_bytes=_FERPLUS_BYTES,
        licence="MIT",
        source="trained by the streamer project on FER+ (Barsoum et al., ICMI 2016)",
        remedy=_REINSTALL,
    ),
    _brought("resnet34", "0.0.1", "resnet34-epoch.12-val_loss.0.494-val_acc.0.846-val_f1.0.843.ckpt"),
    _brought("mobilenetv2_140", "1.0.1", "mobilenetv2_140-epoch.12-val_loss.0.629-val_acc.0.827-val_f1.0.825.ckpt"),
)

WEIGHTS: Mapping[str, Weights] = MappingProxyType({weights.name: weights for weights in _ALL})
"""All weights by name, in the order in which a frame meets them."""
