"""Configuration to the net that turns a face into a vector: the net, its name in galleries, what is known of it."""

from __future__ import annotations

from streamer import weights
from streamer.config import Config
from streamer.devices import Device, placement
from streamer.recognition.aligned import AlignedEmbedder, Net
from streamer.recognition.dlib_resnet import DlibEmbedder
from streamer.recognition.facenet_resnet import FacenetEmbedder
from streamer.recognition.onnx_openvino import OnnxEmbedder, OnnxRecipe, onnx_id
from streamer.recognition.people import EmbedderId

EMBEDDER_WEIGHTS = ("dlib-resnet", "facenet-vggface2")
"""The registered weights that are embedders': a run uses one of them, or none."""


def embedder_id(config: Config) -> EmbedderId:
    """Return what a gallery records of the net that made its vectors.

    Raises:
        WeightsError: The net is an ONNX file that is absent or cannot be read.
    """
    settings = config.embedder
    if settings.path is not None:
        return onnx_id(settings.path, _recipe(config))
    return EmbedderId(settings.kind, weights.sha256_of(settings.kind))


def build_embedder(config: Config, device: Device) -> AlignedEmbedder:
    """Return the configured net on a device; an ONNX file is computed by OpenVINO, on the CPU, whatever the device.

    Raises:
        WeightsError: Its weights are absent, damaged, or no such net.
    """
    settings = config.embedder
    if settings.path is not None:
        return OnnxEmbedder(settings.path, _recipe(config), flip=settings.flip)
    if settings.kind == "facenet-vggface2":
        return _facenet(device, flip=settings.flip)
    return DlibEmbedder(dlib_net(device), flip=settings.flip)


# Backends are imported where they are chosen: torch alone takes a second and 0.6 GB.


def dlib_net(device: Device) -> Net:
    """Return what computes dlib's net on a device. Raises WeightsError."""
    if device.backend == "openvino":
        from streamer.recognition.dlib_openvino import OpenVinoResNet

        return OpenVinoResNet(precision="fastest")
    from streamer.recognition.dlib_torch import TorchResNet

    return TorchResNet(*placement(device))


def _facenet(device: Device, *, flip: bool) -> FacenetEmbedder:
    if device.backend == "openvino":
        from streamer.recognition.facenet_openvino import OpenVinoFacenet

        return FacenetEmbedder(OpenVinoFacenet(), flip=flip)
    from streamer.recognition.facenet_torch import TorchFacenet

    return FacenetEmbedder(TorchFacenet(*placement(device)), flip=flip)


def _recipe(config: Config) -> OnnxRecipe:
    settings, usual = config.embedder, OnnxRecipe()
    return OnnxRecipe(
        crop_size=settings.crop_size,
        template=settings.template or usual.template,
        normalisation=settings.normalisation or usual.normalisation,
        channels=settings.channels or usual.channels,
    )
