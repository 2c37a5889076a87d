# openapi-python-client generate --url http://127.0.0.1:5000/openapi.json \
#     --meta none --output-path gateway
import sys
from io import BytesIO
from pathlib import Path

from gateway import Client
from gateway.api.predictions import predict
from gateway.models import Answer, Problem
from gateway.types import File

client = Client("http://127.0.0.1:5000")


def classify(model: str, picture: bytes) -> Answer:
    answer = predict.sync(model, client=client, body=File(BytesIO(picture)), top_k=3)
    if isinstance(answer, Problem):
        raise SystemExit(f"{answer.detail} ({answer.code})")
    assert isinstance(answer, Answer)
    return answer


if __name__ == "__main__":
    for prediction in classify(sys.argv[1], Path(sys.argv[2]).read_bytes()).predictions:
        print(f"{prediction.label}: {prediction.score:.3f}")
