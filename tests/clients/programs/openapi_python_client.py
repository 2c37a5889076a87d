"""Send every form of a request with the generated Python client, and print what was answered."""

from __future__ import annotations

import base64
import json
import sys
from io import BytesIO
from pathlib import Path

import example
from gateway import Client
from gateway.api.models import list_models
from gateway.api.predictions import explain, predict, predict_original
from gateway.models import (
    Answer,
    Answers,
    ExplainRequest,
    Heat,
    HeatFormat,
    ImageRequest,
    ImagesRequest,
    ModelList,
    OriginalForm,
    PredictFiles,
    PredictForm,
    Problem,
)
from gateway.types import File

client = Client(sys.argv[1])
data = Path(sys.argv[2]).read_bytes()
image = base64.b64encode(data).decode()


def file() -> File:
    return File(BytesIO(data), "picture.png", "image/png")


def labels(answer: object) -> list[str]:
    assert isinstance(answer, Answer), answer
    return [prediction.label for prediction in answer.predictions]


models = list_models.sync(client=client)
several = predict.sync("toy", client=client, body=ImagesRequest([image, "no base64!"]))
one, two = PredictFiles([file()], report=True), PredictFiles([file(), file()])
form = PredictForm(image, report=True)
both = predict.sync("toy", client=client, body=two)
query = predict.sync("toy", client=client, body=ImageRequest(image), labels=["light", "dark"])
heat = explain.sync(
    "toy", client=client, body=ExplainRequest(image, grid=2, format_=HeatFormat.JSON)
)
asked = explain.sync("toy", client=client, body=file(), grid=2, format_=HeatFormat.JSON)
original = predict_original.sync(client=client, body=OriginalForm(image))
refused = predict.sync("none", client=client, body=ImageRequest(image))
assert isinstance(models, ModelList)
assert isinstance(several, Answers)
assert isinstance(both, Answers)
assert isinstance(heat, Heat)
assert isinstance(asked, Heat)
assert isinstance(original, list)
assert isinstance(refused, Problem)
try:
    example.classify("none", data)
except SystemExit as exit:
    said = str(exit)

print(
    json.dumps(
        {
            "models": [model.name for model in models.models],
            "json": labels(
                predict.sync("toy", client=client, body=ImageRequest(image, top_k=2, report=True))
            ),
            "several": [list(result.to_dict()) for result in several.results],
            "files": labels(predict.sync("toy", client=client, body=one)),
            "two files": len(both.results),
            "form": labels(
                predict.sync("toy", client=client, body=PredictForm(image, report=True))
            ),
            "raw": labels(predict.sync("toy", client=client, body=file())),
            "query": sorted(labels(query)),
            "heat": len(heat.grid),
            "original": original[0][1],
            "refused": [refused.code, refused.status],
            "example": labels(example.classify("toy", data)),
            "said": said,
        }
    )
)
