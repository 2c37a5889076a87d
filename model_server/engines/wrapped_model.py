"""The base of models that add something to the runs of another one."""

from __future__ import annotations

from collections.abc import Mapping

from model_server.engines.protocol import LoadedModel, Signature


class WrappedModel:
    """Has the signatures and the engine of another loaded model; subclasses define ``run``."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures of the model."""
        return self._model.signatures

    @property
    def engine(self) -> str:
        """The engine of the model."""
        return self._model.engine

    def close(self) -> None:
        """Close the model."""
        self._model.close()
