"""Every way the gateway can fail, as one tree.

* GatewayError
  + BadRequest          the caller's request is wrong
    - InvalidJson
    - MissingImage
    - InvalidBase64
    - InvalidParameter
    - BodyTooLarge
    - TooManyImages
    - UnsupportedMediaType
    - NotAcceptable
  + AccessRefused       the caller may not ask, or not now
    - MissingApiKey
    - InvalidApiKey
    - RateLimited
    - KeysUnavailable
  + NotHere             the caller asks for something that does not exist
    - UnknownModel
    - UnknownVersion
  + ImageError          the bytes are there, the picture is not usable
    - ImageTooLarge
    - UnsupportedImage
    - CorruptImage
  + ServingFault        the model server is the problem
    - ServingError
    - Overloaded
    - ServingUnavailable
    - ModelNotReady
    - ServingTimeout

Nothing here knows about HTTP; ``http_errors`` gives each leaf its status. A ``code`` is public and
frozen once released; the sentence may be reworded any day.
"""

from __future__ import annotations


class GatewayError(Exception):
    """Anything the gateway refuses or fails to do, with a sentence for the caller."""

    code: str


class BadRequest(GatewayError):
    """The request cannot be understood or asks for too much."""


class InvalidJson(BadRequest):
    """The body is not JSON, or not a JSON object."""

    code = "invalid_json"


class MissingImage(BadRequest):
    """No picture came with the request, or an empty one."""

    code = "missing_image"


class InvalidBase64(BadRequest):
    """The text is not base64."""

    code = "invalid_base64"


class InvalidParameter(BadRequest):
    """A parameter has a value that is not allowed."""

    code = "invalid_parameter"


class BodyTooLarge(BadRequest):
    """The body has more bytes than the gateway takes."""

    code = "body_too_large"


class TooManyImages(BadRequest):
    """One request brings more pictures than the gateway takes."""

    code = "too_many_images"


class UnsupportedMediaType(BadRequest):
    """The body's content type is none the route reads."""

    code = "unsupported_media_type"


class NotAcceptable(BadRequest):
    """The caller accepts no form in which the route can answer."""

    code = "not_acceptable"


class AccessRefused(GatewayError):
    """The caller may not ask this, or not now."""


class MissingApiKey(AccessRefused):
    """The route needs an API key and none came."""

    code = "missing_api_key"


class InvalidApiKey(AccessRefused):
    """The API key is unknown or revoked."""

    code = "invalid_api_key"


class RateLimited(AccessRefused):
    """The quota of the caller's key is used up for now."""

    code = "rate_limited"

    def __init__(self, sentence: str, retry_after_s: int) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class KeysUnavailable(AccessRefused):
    """The file of API keys has not been readable since this process began."""

    code = "keys_unavailable"


class NotHere(GatewayError):
    """The request names something that does not exist."""


class UnknownModel(NotHere):
    """The models file has no such model."""

    code = "unknown_model"


class UnknownVersion(NotHere):
    """The model has no such version or version label."""

    code = "unknown_version"


class ImageError(GatewayError):
    """The bytes arrived but cannot be classified."""


class ImageTooLarge(ImageError):
    """Decoding would cost more pixels than the gateway allows."""

    code = "image_too_large"


class UnsupportedImage(ImageError):
    """The bytes are none of the accepted picture formats."""

    code = "unsupported_image"


class CorruptImage(ImageError):
    """The bytes begin like a picture but are damaged."""

    code = "corrupt_image"


class ServingFault(GatewayError):
    """The model server did not answer the question."""


class ServingError(ServingFault):
    """Serving answered nonsense, or an error that is not the caller's."""

    code = "serving_error"


class Overloaded(ServingFault):
    """More work is waiting than can be done in time."""

    code = "overloaded"


class ServingUnavailable(ServingFault):
    """Serving cannot be reached, or the connection broke before the whole answer was there."""

    code = "serving_unavailable"


class ModelNotReady(ServingFault):
    """Serving has no available version of the model yet."""

    code = "model_not_ready"


class ServingTimeout(ServingFault):
    """The deadline of the request passed before there was an answer."""

    code = "serving_timeout"
