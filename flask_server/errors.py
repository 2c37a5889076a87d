"""The error classes of the gateway, as one tree.

* GatewayError
  + FrameworkError      the HTTP server or Flask refuses the request, or a view has a defect
    - MalformedRequest
    - PageNotFound
    - MethodNotAllowed
    - InternalError
  + BadRequest          the caller's request is wrong
    - InvalidJson
    - MissingImage
    - InvalidBase64
    - InvalidParameter
    - BodyTooLarge
    - TooManyImages
    - UnsupportedMediaType
    - NotAcceptable
    - InvalidTensor
    - UnsupportedTask
  + AccessRefused       the API key is missing, invalid, over its limit, or cannot be checked
    - MissingApiKey
    - InvalidApiKey
    - RateLimited
    - KeysUnavailable
  + NotHere             the caller asks for something that does not exist
    - UnknownModel
    - UnknownVersion
  + ImageError          an image was received that cannot be classified
    - ImageTooLarge
    - UnsupportedImage
    - CorruptImage
  + ServingFault        the model server failed or cannot take the request
    - ServingError
    - Overloaded
    - ServingUnavailable
    - ModelNotReady
    - ServingTimeout

A class with a ``code`` declares all public properties of an error: its code, its HTTP status and
the operations that may return it. The docstring says when the error happens. Problem documents, the
OpenAPI document and the table of docs/reference/errors.md read these classes, so a new error is one
new class.

A ``code`` never changes once it is released; the sentences may change. This file knows nothing of
HTTP but the status numbers.
"""

from __future__ import annotations

from enum import Enum, auto
from http import HTTPStatus
from typing import ClassVar, TypeVar

_Kept = TypeVar("_Kept", bound=Exception)


class Scope(Enum):
    """Which operations of the API may return an error, for the OpenAPI document."""

    ANY = auto()
    """Every operation."""

    API_KEY = auto()
    """Every operation that needs an API key."""

    IMAGES = auto()
    """Every operation that takes images."""

    MODEL_IMAGES = auto()
    """Every operation that takes images for a model that the path names."""

    LISTED = auto()
    """Only operations that list the code themselves."""


class GatewayError(Exception):
    """The base class of all errors; the message is one sentence for the caller."""

    code: ClassVar[str]
    status: ClassVar[HTTPStatus]
    scope: ClassVar[Scope] = Scope.LISTED
    when: ClassVar[str]
    """When the error happens: the docstring of the class that has the code."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" in vars(cls):
            # Python drops docstrings when it is started with -OO.
            cls.when = " ".join((cls.__doc__ or cls.__name__).split())


class FrameworkError(GatewayError):
    """An error that the HTTP server or Flask raises, or an unexpected exception in a view."""


class MalformedRequest(FrameworkError):
    """The request is not valid HTTP, or breaks a rule of HTTP that has no code of its own."""

    code = "bad_request"
    status = HTTPStatus.BAD_REQUEST
    scope = Scope.ANY


class PageNotFound(FrameworkError):
    """The path matches no route."""

    code = "not_found"
    status = HTTPStatus.NOT_FOUND


class MethodNotAllowed(FrameworkError):
    """The route does not support the method."""

    code = "method_not_allowed"
    status = HTTPStatus.METHOD_NOT_ALLOWED


class InternalError(FrameworkError):
    """The gateway has a defect; its log has the details under the request id."""

    code = "internal_error"
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    scope = Scope.ANY


class BadRequest(GatewayError):
    """The request cannot be understood or asks for too much."""


class InvalidJson(BadRequest):
    """The body is not JSON, or not a JSON object."""

    code = "invalid_json"
    status = HTTPStatus.BAD_REQUEST
    scope = Scope.MODEL_IMAGES


class MissingImage(BadRequest):
    """The request has no image, or an empty one."""

    code = "missing_image"
    status = HTTPStatus.BAD_REQUEST
    scope = Scope.IMAGES


class InvalidBase64(BadRequest):
    """The text of an image is not base64."""

    code = "invalid_base64"
    status = HTTPStatus.BAD_REQUEST
    scope = Scope.IMAGES


class InvalidParameter(BadRequest):
    """A parameter is unknown or has a value that is not allowed."""

    code = "invalid_parameter"
    status = HTTPStatus.BAD_REQUEST
    scope = Scope.MODEL_IMAGES


class BodyTooLarge(BadRequest):
    """The body has more than `GATEWAY_MAX_BODY_BYTES`, or too many JSON values or form fields."""

    code = "body_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    scope = Scope.ANY


class TooManyImages(BadRequest):
    """The request has more images than `GATEWAY_MAX_IMAGES`."""

    code = "too_many_images"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    scope = Scope.MODEL_IMAGES


class UnsupportedMediaType(BadRequest):
    """The route does not read bodies of this content type."""

    code = "unsupported_media_type"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    scope = Scope.MODEL_IMAGES


class NotAcceptable(BadRequest):
    """The `Accept` header allows no media type that the route can return."""

    code = "not_acceptable"
    status = HTTPStatus.NOT_ACCEPTABLE
    scope = Scope.MODEL_IMAGES


class InvalidTensor(BadRequest):
    """A tensor cannot be read, or its dtype, shape or size does not fit the model's input."""

    code = "invalid_tensor"
    status = HTTPStatus.BAD_REQUEST
    scope = Scope.MODEL_IMAGES


class UnsupportedTask(BadRequest):
    """The task or the input of the model does not allow the request; the message names the task."""

    code = "unsupported_task"
    status = HTTPStatus.BAD_REQUEST
    scope = Scope.IMAGES


class AccessRefused(GatewayError):
    """The API key of the request is missing, invalid, over its limit or cannot be checked."""


class MissingApiKey(AccessRefused):
    """The route needs an API key and the request has none."""

    code = "missing_api_key"
    status = HTTPStatus.UNAUTHORIZED
    scope = Scope.API_KEY


class InvalidApiKey(AccessRefused):
    """The API key is unknown or revoked."""

    code = "invalid_api_key"
    status = HTTPStatus.UNAUTHORIZED
    scope = Scope.API_KEY


class RateLimited(AccessRefused):
    """The API key has used up its quota for now."""

    code = "rate_limited"
    status = HTTPStatus.TOO_MANY_REQUESTS
    scope = Scope.API_KEY

    def __init__(self, sentence: str, retry_after_s: int) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class KeysUnavailable(AccessRefused):
    """The file of API keys has not been readable since the process started."""

    code = "keys_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    scope = Scope.API_KEY


class NotHere(GatewayError):
    """The request names something that does not exist."""


class UnknownModel(NotHere):
    """The models file has no such model."""

    code = "unknown_model"
    status = HTTPStatus.NOT_FOUND
    scope = Scope.MODEL_IMAGES


class UnknownVersion(NotHere):
    """The model has no such version or version label."""

    code = "unknown_version"
    status = HTTPStatus.NOT_FOUND
    scope = Scope.MODEL_IMAGES


class ImageError(GatewayError):
    """The bytes arrived but cannot be classified."""


class ImageTooLarge(ImageError):
    """The image exceeds `GATEWAY_MAX_PIXELS`, or is too costly to decode."""

    code = "image_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    scope = Scope.IMAGES


class UnsupportedImage(ImageError):
    """The bytes are not in an accepted image format, or in a variant that is not read."""

    code = "unsupported_image"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    scope = Scope.IMAGES


class CorruptImage(ImageError):
    """The bytes begin like an accepted image format but are damaged."""

    code = "corrupt_image"
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    scope = Scope.IMAGES


class ServingFault(GatewayError):
    """The model server failed or cannot take the request."""

    def __init__(self, sentence: str, *, address: str | None = None) -> None:
        super().__init__(sentence)
        self.address = address

    @property
    def for_log(self) -> str:
        """The message with the address of the model server, which callers do not get."""
        return str(self) if self.address is None else f"{self} [{self.address}]"


class ServingError(ServingFault):
    """The model server returned an error that the caller did not cause, or an invalid response."""

    code = "serving_error"
    status = HTTPStatus.BAD_GATEWAY
    scope = Scope.IMAGES


class Overloaded(ServingFault):
    """More requests are in flight than the gateway or the model server can finish in time."""

    code = "overloaded"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    scope = Scope.ANY


class ServingUnavailable(ServingFault):
    """The model server cannot be reached, or the connection broke during its response."""

    code = "serving_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    scope = Scope.IMAGES


class ModelNotReady(ServingFault):
    """The model server has no available version of the model yet."""

    code = "model_not_ready"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    scope = Scope.IMAGES


class ServingTimeout(ServingFault):
    """The deadline of the request passed before there was a response."""

    code = "serving_timeout"
    status = HTTPStatus.GATEWAY_TIMEOUT
    scope = Scope.IMAGES


def copied(error: _Kept) -> _Kept:
    """Return a copy without its cause, so that one error can be kept and the other raised.

    An error that was raised, and its cause, refer to all frames that they passed, and so to the
    images of a request. If one of these frames or a state refers to the error, the images stay in
    memory until the next garbage collection, or as long as the state.
    """
    copy = type(error).__new__(type(error), *error.args)
    copy.__dict__.update(error.__dict__)
    return copy


def kinds(branch: type[GatewayError] = GatewayError) -> list[type[GatewayError]]:
    """Return the subclasses that have a code, by status, then in the order of this file."""
    return sorted(_with_code(branch), key=lambda kind: kind.status)


def _with_code(branch: type[GatewayError]) -> list[type[GatewayError]]:
    own = [branch] if "code" in vars(branch) else []
    return own + [kind for child in branch.__subclasses__() for kind in _with_code(child)]
