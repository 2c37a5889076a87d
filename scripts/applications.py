"""The architectures of keras.applications: their images, and how Keras scales these.

The only such table of the scripts. Tests compare it with Keras's own ``preprocess_input``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """The architectures of one module of keras.applications; all take RGB images."""

    module: str

    scale: str
    """What ``preprocess_input`` does; ``none`` where the networks scale pixels themselves."""

    sides: dict[str, int]
    """Height and width of the images, by architecture."""


def _all(side: int, *names: str) -> dict[str, int]:
    return dict.fromkeys(names, side)


FAMILIES: Final = (
    Family(
        module="convnext",
        scale="none",
        sides=_all(224, *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large")))
        | _all(224, "ConvNeXtXLarge"),
    ),
    Family(
        module="densenet",
        scale="torch",
        sides=_all(224, "DenseNet121", "DenseNet169", "DenseNet201"),
    ),
    Family(
        module="efficientnet",
        scale="none",
        sides={
            f"EfficientNetB{number}": side
            for number, side in enumerate((224, 240, 260, 300, 380, 456, 528, 600))
        },
    ),
    Family(
        module="efficientnet_v2",
        scale="none",
        sides={
            "EfficientNetV2B0": 224,
            "EfficientNetV2B1": 240,
            "EfficientNetV2B2": 260,
            "EfficientNetV2B3": 300,
            "EfficientNetV2S": 384,
            "EfficientNetV2M": 480,
            "EfficientNetV2L": 480,
        },
    ),
    Family(module="inception_resnet_v2", scale="tf", sides=_all(299, "InceptionResNetV2")),
    Family(module="inception_v3", scale="tf", sides=_all(299, "InceptionV3")),
    Family(module="mobilenet", scale="tf", sides=_all(224, "MobileNet")),
    Family(module="mobilenet_v2", scale="tf", sides=_all(224, "MobileNetV2")),
    Family(
        module="mobilenet_v3",
        scale="none",
        sides=_all(224, "MobileNetV3Small", "MobileNetV3Large"),
    ),
    Family(module="nasnet", scale="tf", sides={"NASNetMobile": 224, "NASNetLarge": 331}),
    Family(module="resnet", scale="caffe", sides=_all(224, "ResNet50", "ResNet101", "ResNet152")),
    Family(
        module="resnet_v2",
        scale="tf",
        sides=_all(224, "ResNet50V2", "ResNet101V2", "ResNet152V2"),
    ),
    Family(module="vgg16", scale="caffe", sides=_all(224, "VGG16")),
    Family(module="vgg19", scale="caffe", sides=_all(224, "VGG19")),
    Family(module="xception", scale="tf", sides=_all(299, "Xception")),
)

#: Height and width of the images by architecture.
SIDES: Final = {name: side for family in FAMILIES for name, side in family.sides.items()}

#: Prefixes of the names that these models and their relatives have, and their scaling. The first
#: match counts, since resnet50v2 also starts with resnet.
SCALE_BY_NAME: Final = {
    "inception": "tf",
    "xception": "tf",
    "mobilenet": "tf",
    "nasnet": "tf",
    "resnet50v2": "tf",
    "resnet101v2": "tf",
    "resnet152v2": "tf",
    "resnet": "caffe",
    "vgg": "caffe",
    "densenet": "torch",
    # This project's EfficientNet-Lite0; those of keras.applications scale their input themselves.
    "efficientnet_lite": "tf",
}
