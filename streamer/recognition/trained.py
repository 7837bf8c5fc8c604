"""Trained matchers: the methods this project began with, beside the default, as a file that takes a gallery's place.

knn-pixels: the five nearest photos by their pixels vote. knn: the same by dlib's face vectors. cnn: a small net trained
from scratch on the photos. `Identity.similarity` is a cosine in each method's own vectors, so thresholds differ.

They are here to be compared with, and all but knn are poor at what matters most, telling strangers: MEASURED
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamer import weights
from streamer.errors import GalleryError, printable
from streamer.recognition import cnn, pixels
from streamer.recognition.aligned import Net as FaceNet
from streamer.recognition.dlib_resnet import CROP_SIZE, DlibEmbedder
from streamer.recognition.folds import Rows, folds
from streamer.recognition.learners import CnnLearner, Learner, Learnt, NeighbourLearner
from streamer.recognition.people import EmbedderId, check_embedder, clean_name
from streamer.recognition.pixels import PixelEmbedder
from streamer.recognition.private_file import write_private
from streamer.recognition.rejection import HeldOut, fit_rejection
from streamer.recognition.rivals import HeadRanking, NeighbourRanking, RejectingMatcher
from streamer.recognition.trained_file import MAX_BYTES, METHODS, PHOTOS, Method, TrainedFile, parse, serialise
from streamer.stages import Crops, Embedder
from streamer.types import Float32

__all__ = ["METHODS", "Method", "Nets", "TrainedMatcher", "load", "train"]

OnProgress = Callable[[float], None]


def _openvino_resnet() -> FaceNet:
    from streamer.recognition.dlib_openvino import OpenVinoResNet

    return OpenVinoResNet()


def _openvino_cnn(tensors: Mapping[str, Float32]) -> cnn.FeatureNet:
    from streamer.recognition.cnn_openvino import OpenVinoCnn

    return OpenVinoCnn(tensors)


@dataclass(frozen=True, slots=True)
class Nets:
    """What computes the nets that a trained matcher may need; by default OpenVINO.

    Attributes:
        face: Makes dlib's net, for knn.
        small: Makes the small net of its tensors, for cnn.
    """

    face: Callable[[], FaceNet] = _openvino_resnet
    small: Callable[[Mapping[str, Float32]], cnn.FeatureNet] = _openvino_cnn


@dataclass(frozen=True, slots=True, eq=False)
class TrainedMatcher:
    """A trained matcher.

    Attributes:
        content: What its file says.
        nets: What computes its net.
    """

    content: TrainedFile
    nets: Nets = field(default_factory=Nets)

    @property
    def names(self) -> tuple[str, ...]:
        """Who may be named."""
        return self.content.names

    def recognition(self, similarity_threshold: float | None = None) -> tuple[Embedder, RejectingMatcher]:
        """Return the two models that say who somebody is; they belong together.

        Args:
            similarity_threshold: From where on a face is named, -1: always; None: as chosen in training.
        """
        tensors, method = self.content.tensors, self.content.method
        if method == "cnn":
            ranking: HeadRanking | NeighbourRanking = HeadRanking(tensors[cnn.HEAD])
            embedder: Embedder = cnn.CnnEmbedder(self.nets.small(tensors))
        else:
            owners = np.repeat(np.arange(len(self.names)), self.content.photo_counts)
            ranking = NeighbourRanking(tensors[PHOTOS], owners)
            embedder = PixelEmbedder() if method == "knn-pixels" else DlibEmbedder(self.nets.face())
        return embedder, RejectingMatcher(self.names, ranking, self.content.rejection, similarity_threshold)

    def save(self, path: Path) -> None:
        """Write the file, private and in one step. Raises GalleryError where that is not possible."""
        try:
            write_private(path, serialise(self.content))
        except OSError as error:
            raise GalleryError(
                f"the matcher {printable(path)} cannot be written ({error.strerror}); choose another place"
            ) from error


def load(path: Path, nets: Nets | None = None) -> TrainedMatcher:
    """Read a trained matcher's file.

    Raises:
        GalleryError: It is absent, cut, damaged, of another version, or rests on another net than this program's.
    """
    content = parse(_read(path), path)
    if content.embedder is not None:
        check_embedder(content.embedder, _face_net_id(), f"the matcher {printable(path)}")
    return TrainedMatcher(content, nets if nets is not None else Nets())


def file_sha256(path: Path) -> str:
    """Return the sha256 of a trained matcher's file. Raises GalleryError where it cannot be read."""
    return hashlib.sha256(_read(path)).hexdigest()


def train(
    method: Method,
    crops_by_name: Mapping[str, Crops],
    *,
    seed: int = 0,
    strangers: Crops | None = None,
    false_accept_rate: float | None = None,
    on_progress: OnProgress | None = None,
    net: FaceNet | None = None,
) -> TrainedMatcher:
    """Train a matcher; the same arguments give the same one.

    Args:
        method: Which.
        crops_by_name: (N, 150, 150, 3) uint8 BGR aligned crops (see `DlibEmbedder.crop`) of each person, N >= 1.
        seed: Of all that is drawn by lot.
        strangers: (M, 150, 150, 3) crops of other people, from which it is seen, beside what each of the people does
            while the others alone are known, where "unknown" must begin; they are not learnt.
        false_accept_rate: Share of such strangers that may be named; None: a name must be more
            probable than not, if half of all faces were strangers.
        on_progress: Called now and then with the share that is done, 0..1; what it raises ends the training.
        net: What computes dlib's net, for knn; None: OpenVINO.

    Raises:
        GalleryError: There are too few people or photos for the method, or a name is none.
        ValueError: Crops of another shape, or an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    names, photo_counts, pool = _pooled(crops_by_name, strangers)
    owners = np.repeat(np.arange(len(names)), photo_counts)
    outside = np.arange(len(owners), len(pool))
    nets = Nets() if net is None else Nets(face=lambda: net)
    learner = _learner(method, pool, nets, seed)
    if len(names) < learner.least_people:
        raise GalleryError(f"{method} tells people apart, so it needs {learner.least_people} of them, not {len(names)}")
    learnt, held_out = _learn(learner, owners, outside, seed, on_progress)
    if not len(held_out.known) or not len(held_out.strangers):
        raise GalleryError(
            f"{method} cannot learn who is a stranger from so few; give two photos of somebody at least, and "
            f"{learner.least_people + 1} people or a folder of strangers"
        )
    content = TrainedFile(
        method=method,
        names=names,
        photo_counts=photo_counts,
        embedder=_face_net_id() if method == "knn" else None,
        rejection=fit_rejection(held_out, false_accept_rate),
        seed=seed,
        settings=learner.settings,
        tensors=learnt.tensors,
    )
    return TrainedMatcher(content, nets)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise GalleryError(f"{printable(path)} is larger than {MAX_BYTES >> 20} MiB, which no matcher is")
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise GalleryError(f"there is no matcher at {printable(path)}; make one with `streamer train`") from error
    except OSError as error:
        raise GalleryError(f"the matcher {printable(path)} cannot be read ({error.strerror})") from error


def _face_net_id() -> EmbedderId:
    return EmbedderId("dlib-resnet", weights.WEIGHTS["dlib-resnet"].sha256)


def _pooled(
    crops_by_name: Mapping[str, Crops], strangers: Crops | None
) -> tuple[tuple[str, ...], tuple[int, ...], Crops]:
    """Return names, photos of each, and all crops in that order, the strangers' last."""
    people = sorted((clean_name(name), crops) for name, crops in crops_by_name.items())
    if not people:
        raise GalleryError("there is nobody to learn; give photos of at least one person")
    parts = [crops for _, crops in people] + ([strangers] if strangers is not None else [])
    for part in parts:
        if part.dtype != np.uint8 or part.shape[1:] != (CROP_SIZE, CROP_SIZE, 3):
            raise ValueError(f"crops must be (N, 150, 150, 3) uint8, not {part.shape} {part.dtype}")
    names, counts = tuple(name for name, _ in people), tuple(len(crops) for _, crops in people)
    if min(counts) < 1 or len(set(names)) < len(names):
        raise GalleryError("somebody has no photo, or two names are the same")
    return names, counts, np.concatenate(parts)


def _learner(method: Method, pool: Crops, nets: Nets, seed: int) -> Learner:
    if method == "cnn":
        return CnnLearner(pool, seed, nets.small)
    if method == "knn":
        return NeighbourLearner(pool, DlibEmbedder(nets.face()), {}, mirror=True)
    return NeighbourLearner(pool, PixelEmbedder(), {"side": pixels.SIDE, "inner": pixels.INNER}, mirror=False)


def _learn(
    learner: Learner, owners: Rows, outside: Rows, seed: int, on_progress: OnProgress | None
) -> tuple[Learnt, HeldOut]:
    """Learn from all photos, and before that from each fold, to see how faces that were not learnt are scored."""
    parts = list(folds(owners, seed=seed, least_people=learner.least_people))
    rounds = sum(learner.rounds(len(part.learnt)) for part in parts) + learner.rounds(len(owners))
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done / rounds)

    known, is_right, strangers = [], [], []
    for part in parts:
        learnt = learner.learn(part.learnt, part.owners, advance)
        for owner, best in zip(part.known_owners, learnt.best(part.known), strict=True):
            known.append(best.similarity)
            is_right.append(best.person == owner)
        strangers += [best.similarity for best in learnt.best(part.strangers)]
    learnt = learner.learn(np.arange(len(owners)), owners, advance)
    strangers += [best.similarity for best in learnt.best(outside)]
    return learnt, HeldOut(np.array(known, np.float32), np.array(is_right, bool), np.array(strangers, np.float32))
