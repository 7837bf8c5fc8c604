"""fer-pytorch's nets as `EmotionClassifier`s: 224 px grey crops, seven emotions out, by its own checkpoints.

fer-pytorch (github.com/Emilien-mipt/fer-pytorch, MIT, Emin Tagiev) cannot be installed beside current packages, so its
checkpoints are read directly (fer_pytorch_file). As in its `predict_image`, a face is made grey, brought to 224 px,
repeated three times and normalised as ImageNet is, and is not seen mirrored. There it is cut by its box; here by its
landmarks, framed as the pictures of FER that these nets have learnt on (48 px, enlarged).

Figures that fer-pytorch states for FER+: resnet34 84.6 % valid, 83 % test; mobilenetv2_140 82.7 % valid.
"""

from __future__ import annotations

from streamer.emotion.aligned import AlignedClassifier, Net
from streamer.emotion.calibration import FERPLUS_PRIOR, Calibration
from streamer.emotion.framing import fer_template, grey_cut

CROP_SIZE = 224

# ImageNet's, of red, green and blue in 0..255.
MEANS = (123.675, 116.28, 103.53)
DEVIATIONS = (58.395, 57.12, 57.375)


class FerPytorchClassifier(AlignedClassifier):
    """An `EmotionClassifier` on a net of fer-pytorch.

    Args:
        net: What computes it.
        tau: How far the rare emotions' rarity in FER+ is taken back, 0..1; see calibration.py.
        temperature: What logits are divided by.
    """

    def __init__(self, net: Net, tau: float = 0.5, temperature: float = 1.0) -> None:
        cut = grey_cut(CROP_SIZE, fer_template(CROP_SIZE))
        super().__init__(net, CROP_SIZE, cut, Calibration(temperature, FERPLUS_PRIOR), tau)
