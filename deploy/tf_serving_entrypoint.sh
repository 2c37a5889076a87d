#!/bin/sh
# The entry point of the model server's image takes what that of tensorflow/serving takes: MODEL_NAME,
# MODEL_BASE_PATH, and as arguments any flag. Of a flag that is given twice, the last one counts.
set -eu
name="${MODEL_NAME:-model}"
exec tensorflow_model_server --port=8500 --rest_api_port=8501 \
    --model_name="$name" --model_base_path="${MODEL_BASE_PATH:-/models}/$name" "$@"
