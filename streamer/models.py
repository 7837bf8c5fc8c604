"""The nets of a configuration: what computes them, and where."""

from __future__ import annotations

import os

# Read by OpenMP when torch is loaded, which may happen below. By default its threads spin while they wait for each
# other; beside a decoder and an encoder on two cores that cost up to seven times the whole run's CPU time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from functools import partial

from streamer.classifiers import build_classifier
from streamer.config import Config
from streamer.detectors.cascade import CascadeNets
from streamer.detectors.mtcnn import MtcnnDetector
from streamer.devices import Device, apply_thread_limits, limit_memory_arenas, placement, select_device
from streamer.embedders import build_embedder, dlib_net
from streamer.emotion.ferplus import PICTURE_LOOKS
from streamer.labels import Recognition
from streamer.openvino_runtime import Precision
from streamer.recognition.trained import Nets, load
from streamer.stages import Detector, Embedder, EmotionClassifier
from streamer.stats import RunStats

# P-Net's score from which R-Net looks, and how the nets compute: the reference's where every frame is searched, or one
# picture alone. What a thriftier search misses in one frame of a video it finds in another, and follows it to there.
_EXACT: tuple[float, Precision] = (0.6, "float32")
_THRIFTY: tuple[float, Precision] = (0.9, "fastest")


class Models:
    """The nets of one configuration on one device, each loaded when it is first asked for and then kept.

    Args:
        config: Which, and with what thresholds.
        stats: Where the times of the detector's stages go.
    """

    def __init__(self, config: Config, stats: RunStats | None = None) -> None:
        self._config, self._stats = config, stats
        self.device: Device = select_device(config.runtime.device, config.runtime.threads, config.runtime.backend)
        limit_memory_arenas()
        apply_thread_limits(self.device, max(1, self.device.threads // scan_threads(config, self.device)))
        self._detector: Detector | None = None
        self._embedder: Embedder | None = None
        self._emotion: EmotionClassifier | None = None
        self._trained: Recognition | None = None

    @property
    def detector(self) -> Detector:
        """The detector of videos: it reports doubtful faces too, with which the tracker may continue a track."""
        if self._detector is None:
            low = min(self._config.tracker.low_score_threshold, self._config.detector.score_threshold)
            is_every_frame = self._config.tracker.detect_every_seconds == 0
            # Beside the scan threads, the one that follows looks near the faces.
            callers = scan_threads(self._config, self.device) + 1
            self._detector = self._make_detector(low, *(_EXACT if is_every_frame else _THRIFTY), callers)
        return self._detector

    def photo_detector(self) -> Detector:
        """Return the detector of single pictures: sure faces only.

        Its nets are not kept, for videos do not need them.
        """
        return self._make_detector(self._config.detector.score_threshold, *_EXACT, callers=1)

    def _make_detector(
        self, score_threshold: float, proposal_threshold: float, precision: Precision, callers: int
    ) -> Detector:
        return MtcnnDetector(
            self._cascade_nets(precision, callers),
            score_threshold=score_threshold,
            min_face_pixels=self._config.detector.min_face_pixels,
            proposal_threshold=proposal_threshold,
            stats=self._stats,
        )

    # Backends are imported where they are chosen: torch alone takes a second and 0.6 GB.

    def _cascade_nets(self, precision: Precision, callers: int) -> CascadeNets:
        if self.device.backend == "openvino":
            if precision == "fastest":
                from streamer.detectors.mtcnn_yuv import OpenVinoYuvCascade

                return OpenVinoYuvCascade(callers=callers, stats=self._stats)
            from streamer.detectors.mtcnn_openvino import OpenVinoCascade

            return OpenVinoCascade(callers=callers)
        from streamer.detectors.mtcnn_torch import TorchCascade

        return TorchCascade(*placement(self.device))

    @property
    def embedder(self) -> Embedder:
        """The net that turns a face into a vector."""
        if self._embedder is None:
            self._embedder = build_embedder(self._config, self.device)
        return self._embedder

    def nets(self) -> Nets:
        """Return what computes the nets of trained matchers."""
        if self.device.backend == "openvino":
            return Nets(partial(dlib_net, self.device))
        from streamer.recognition.cnn_torch import TorchCnn

        return Nets(partial(dlib_net, self.device), partial(TorchCnn, device=placement(self.device)[0]))

    def trained(self) -> Recognition | None:
        """Return the models of the configured trained matcher; None: there is none. Raises GalleryError."""
        path = self._config.recognition.matcher_file
        if self._trained is None and path is not None:
            matcher = load(path, self.nets())
            self._trained = Recognition(*matcher.recognition(self._config.recognition.similarity_threshold))
        return self._trained

    @property
    def emotion(self) -> EmotionClassifier | None:
        """The net that reads emotions; None where the configuration switches it off."""
        if self._emotion is None and self._config.emotion.enabled:
            self._emotion = build_classifier(self._config, self.device)
        return self._emotion

    def photo_emotion(self) -> EmotionClassifier | None:
        """Return what reads emotions in single pictures, with more looks at each; None: it is switched off."""
        if not self._config.emotion.enabled:
            return None
        return build_classifier(self._config, self.device, PICTURE_LOOKS)


def scan_threads(config: Config, device: Device) -> int:
    """Return how many batches are searched at once: on a CPU more threads for one net gain little, a GPU needs one."""
    if device.torch_device != "cpu":
        return 1
    is_every_frame = config.tracker.detect_every_seconds == 0
    # Where a search is due now and then only, decoder, encoder and what follows faces want the other cores.
    return min(4, device.threads if is_every_frame else max(1, device.threads // 2))
