"""Answer Classify, Regress and MultiInference calls, whose input are tf.Examples."""

from __future__ import annotations

from typing import Final

from model_server.engines.protocol import DEFAULT_SIGNATURE, LoadedModel
from model_server.errors import InvalidArgument, Unimplemented
from model_server.grpc_api.messages import parsed, set_spec
from model_server.inference import classify_regress
from model_server.inference.results import fill_classes, fill_values
from serving_api.messages import Message, examples_of, message

_CLASSIFY: Final = "tensorflow/serving/classify"
_REGRESS: Final = "tensorflow/serving/regress"


def check_examples(given: Message) -> None:
    """Raise Internal if one of the Examples in an Input is no protocol buffer."""
    with_context = given.example_list_with_context
    for example in (*given.example_list.examples, *with_context.examples, with_context.context):
        parsed("Example", example)


def serialized_examples(given: Message) -> list[bytes]:
    """Return the Examples of an Input, each after the context, or raise InvalidArgument."""
    examples = examples_of(given)
    if not examples:
        raise InvalidArgument("Input is empty.")
    return examples


def check_tasks(tasks: Message) -> None:
    """Raise InvalidArgument if tasks have no model name, several ones, or a signature twice."""
    names: set[str] = set()
    for task in tasks:
        if not task.model_spec.name:
            raise InvalidArgument("Found ModelSpec with an empty model name.")
        if task.model_spec.name != tasks[0].model_spec.name:
            raise InvalidArgument(
                "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        signature = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if signature in names:
            raise InvalidArgument(f"Duplicate evaluation of signature: {signature}")
        names.add(signature)


def check_task(model: LoadedModel, task: Message, *, strict: bool) -> None:
    """Raise a ModelServerError if the model cannot do a task."""
    name = task.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = model.signatures.get(name)
    if signature is None:
        raise InvalidArgument(f"Requested signature not found in model graph: {name}")
    if task.method_name == _CLASSIFY:
        classify_regress.check_classify(signature, strict=strict)
    elif task.method_name == _REGRESS:
        classify_regress.check_regress(signature, strict=strict)
    else:
        raise Unimplemented(f"Unsupported signature method_name: {task.method_name}")


def multi_answer(
    model: LoadedModel,
    version: int,
    tasks: Message,
    examples: list[bytes],
    timeout_s: float,
) -> bytes:
    """Run all tasks on the examples; return a MultiInferenceResponse."""
    response = message("MultiInferenceResponse")()
    for task in tasks:
        spec = task.model_spec
        outputs = classify_regress.run_examples(model, spec.signature_name, examples, timeout_s)
        result = response.results.add()
        signature = spec.signature_name or DEFAULT_SIGNATURE
        set_spec(result.model_spec, spec.name, version, signature)
        if task.method_name == _CLASSIFY:
            classes = classify_regress.classifications(outputs, len(examples))
            fill_classes(result.classification_result, classes)
        else:
            values = classify_regress.regressions(outputs, len(examples))
            fill_values(result.regression_result, values)
    return bytes(response.SerializeToString())
