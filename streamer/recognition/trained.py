"""Trained matchers: the methods this project began with, beside the default, as a file that takes a gallery's place.

knn-pixels: the five nearest photos by their pixels vote. knn: the same by dlib's face vectors. cnn: a small net trained
from scratch on the photos. `Identity.similarity` is a cosine in each method's own vectors, so thresholds differ.

They are here to be compared with, and all but knn are poor at what matters most, telling strangers. Measured on LFW,
five people × 8 photos, their other photos and 400 strangers; means over so many draws; "named" and "strangers named"
at the threshold that training chose by itself; AUROC of known faces against strangers:

              right person first   named right   named wrongly   strangers named   AUROC   draws
  knn-pixels              65.9 %        38.2 %           5.6 %            15.7 %    .690      20
  cnn                     83.1 %        54.7 %           2.7 %            23.2 %    .741      12
  knn                     99.8 %        99.2 %            .2 %             2.1 %    .9995     20

A draw can be far off: of strangers 0 to 50, 7 to 79 and 0 to 7 % were named. 300 photos of strangers (`strangers`)
bring that down to 7.9 % for knn-pixels (named right: 29.6 %) and .7 % for knn (99.1 %). Probabilities are too high by
as much as the strangers in training, people whom fewer others are known beside, are easier than real ones: expected
calibration error .13, .14 and .05.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamer import weights
from streamer.devices import openvino_problem
from streamer.errors import GalleryError, printable
from streamer.recognition import cnn, pixels
from streamer.recognition.aligned import Net as FaceNet
from streamer.recognition.dlib_resnet import CROP_SIZE, DlibEmbedder
from streamer.recognition.held_out import OnProgress, learn_and_judge
from streamer.recognition.learners import CnnLearner, Learner, NeighbourLearner
from streamer.recognition.people import EmbedderId, check_embedder, clean_name
from streamer.recognition.photo_vectors import photo_vectors
from streamer.recognition.pixels import PixelEmbedder
from streamer.recognition.private_file import write_private
from streamer.recognition.rejection import fit_rejection
from streamer.recognition.rivals import HeadRanking, NeighbourRanking, RejectingMatcher
from streamer.recognition.trained_file import METHODS, PHOTOS, Method, TrainedFile, parse, read, serialise
from streamer.stages import Crops, Embedder
from streamer.types import Float32

__all__ = ["METHODS", "Method", "Nets", "TrainedMatcher", "load", "train"]


def _face_net() -> FaceNet:
    if openvino_problem():
        from streamer.recognition.dlib_torch import TorchResNet

        return TorchResNet()
    from streamer.recognition.dlib_openvino import OpenVinoResNet

    return OpenVinoResNet()


def _small_net(tensors: Mapping[str, Float32]) -> cnn.FeatureNet:
    if openvino_problem():
        from streamer.recognition.cnn_torch import TorchCnn

        return TorchCnn(tensors)
    from streamer.recognition.cnn_openvino import OpenVinoCnn

    return OpenVinoCnn(tensors)


@dataclass(frozen=True, slots=True)
class Nets:
    """What computes the nets that a trained matcher may need; by default OpenVINO, or torch where there is none.

    Attributes:
        face: Makes dlib's net, for knn.
        small: Makes the small net of its tensors, for cnn.
    """

    face: Callable[[], FaceNet] = _face_net
    small: Callable[[Mapping[str, Float32]], cnn.FeatureNet] = _small_net


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
    content = parse(read(path), path)
    if content.embedder is not None:
        check_embedder(content.embedder, _face_net_id(), f"the matcher {printable(path)}")
    return TrainedMatcher(content, nets if nets is not None else Nets())


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
        net: What computes dlib's net, for knn; None: OpenVINO, or torch.

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
    learner = _learner(method, pool, len(owners), nets, seed)
    if len(names) < learner.least_people:
        raise GalleryError(f"{method} tells people apart, so it needs {learner.least_people} of them, not {len(names)}")
    learnt, held_out = learn_and_judge(learner, owners, outside, seed=seed, on_progress=on_progress)
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


def _face_net_id() -> EmbedderId:
    return EmbedderId("dlib-resnet", weights.sha256_of("dlib-resnet"))


def _pooled(
    crops_by_name: Mapping[str, Crops], strangers: Crops | None
) -> tuple[tuple[str, ...], tuple[int, ...], Crops]:
    """Return names, photos of each, and all crops in that order, the strangers' last."""
    people = sorted(((clean_name(name), crops) for name, crops in crops_by_name.items()), key=lambda person: person[0])
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


def _learner(method: Method, pool: Crops, known: int, nets: Nets, seed: int) -> Learner:
    """Return the learner over a pool of crops of which the first `known` may be learnt."""
    if method == "cnn":
        return CnnLearner(pool, seed, nets.small)
    if method == "knn":
        # What is kept is made of several views, as a gallery's vectors are; a probe is seen once.
        embedder = DlibEmbedder(nets.face())
        return NeighbourLearner(photo_vectors(pool[:known], embedder), embedder.embed(pool), {})
    vectors = PixelEmbedder().embed(pool)
    return NeighbourLearner(vectors[:known], vectors, {"side": pixels.SIDE, "inner": pixels.INNER})
