"""List the flags: all of tensorflow_model_server's with its names and defaults, and a few more.

The help of a flag that tensorflow_model_server does not have ends with "(Extension.)".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from model_server.cpus import CPUS
from model_server.flags import Flag, Value

#: The environment variable with the address that both APIs listen on by default.
HOST_VARIABLE: Final = "TENSORFLOW_MODEL_SERVER_HOST"
_HOST_FLAGS: Final = frozenset({"rest_api_host", "grpc_host"})


def _ignored(name: str, default: Value, help_text: str, *, wide: bool = False) -> Flag:
    return Flag(name, default, help_text, ignored=True, wide=wide)


FLAGS: Final = (
    Flag("port", 8500, "Port of the gRPC API; 0: none."),
    Flag("grpc_host", "127.0.0.1", "Address for gRPC; 0.0.0.0 or :: for all. (Extension.)"),
    Flag("grpc_socket_path", "", "UNIX socket of the gRPC API."),
    Flag("rest_api_port", 0, "Port of the HTTP/REST API; 0: none."),
    Flag("rest_api_host", "127.0.0.1", "Address to listen on; 0.0.0.0 or :: for all. (Extension.)"),
    Flag("rest_api_num_threads", 4 * CPUS, "Maximum number of POST requests handled at once."),
    Flag("rest_api_timeout_in_ms", 30_000, "Time limit of a model run; 0 or less: no limit."),
    Flag("rest_api_enable_cors_support", False, "Adds CORS headers to every response."),
    Flag(
        "rest_api_max_body_bytes",
        256 << 20,
        "Size of the largest request body or gRPC message, decompressed. (Extension.)",
        wide=True,
    ),
    Flag(
        "rest_api_max_total_bytes",
        512 << 20,
        "Bytes of requests and responses in memory, over all connections. (Extension.)",
        wide=True,
    ),
    Flag(
        "shutdown_grace_seconds",
        10.0,
        "Maximum wait for running requests on SIGTERM or SIGINT. (Extension.)",
    ),
    Flag("model_name", "default", "Name of the model at model_base_path."),
    Flag("model_base_path", "", "Folder whose numbered subfolders are the versions."),
    Flag("model_config_file", "", "ModelServerConfig file; replaces the two flags above."),
    Flag("model_config_file_poll_wait_seconds", 0, "Seconds between reloads; 0: never."),
    Flag("file_system_poll_wait_seconds", 1, "Seconds between version polls; 0: once, < 0: never."),
    Flag("max_num_load_retries", 5, "Number of retries after a failed load."),
    Flag("load_retry_interval_micros", 60_000_000, "Time between two load attempts.", wide=True),
    Flag(
        "allow_unavailable_models",
        False,
        "Starts also when some models have no version, or fail while another one does not."
        " (Extension.)",
    ),
    Flag("num_load_threads", 0, "Maximum number of versions loading at once; 0: 4 x CPUs."),
    _ignored("num_unload_threads", 0, "Each unload runs in a thread of its own."),
    Flag(
        "allow_version_labels_for_unavailable_models",
        False,
        "Allows new labels on versions that are not loaded yet.",
    ),
    Flag("enable_batching", False, "Batches requests as batching_parameters_file says."),
    Flag("batching_parameters_file", "", "BatchingParameters file in text format."),
    Flag(
        "enable_per_model_batching_parameters",
        False,
        "Reads batching_params.pbtxt in each version folder instead.",
    ),
    Flag("monitoring_config_file", "", "MonitoringConfig file in text format."),
    Flag(
        "request_log_max_file_bytes",
        64 << 20,
        "Size at which the next request log file starts. (Extension.)",
        wide=True,
    ),
    Flag(
        "request_log_max_total_bytes",
        1 << 30,
        "Size of the request log files with one prefix together. (Extension.)",
        wide=True,
    ),
    Flag(
        "request_log_max_queued_bytes",
        64 << 20,
        "Bytes of request log records that wait to be written. (Extension.)",
        wide=True,
    ),
    Flag("request_log_seed", 0, "Seed of the request log's sampling; 0: none. (Extension.)"),
    Flag("enable_model_warmup", True, "Replays warm-up requests before a version is available."),
    Flag("num_request_iterations_for_warmup", 0, "Replays of each warm-up request; 0: one."),
    Flag("engine", "auto", "auto, tensorflow or openvino. (Extension.)"),
    Flag(
        "precision",
        "f32",
        "OpenVINO: f32, bf16, int8 or auto (the fastest of what processor and version have)."
        " (Extension.)",
    ),
    Flag("streams", 1, "Number of runs that OpenVINO computes in parallel. (Extension.)"),
    Flag(
        "openvino_cache_dir", "", "Cache folder for compiled models; empty: no cache. (Extension.)"
    ),
    Flag("saved_model_tags", "serve", "Tags of the meta graph to load, separated by commas."),
    Flag("tensorflow_session_parallelism", 0, "Sets both flags below.", wide=True),
    Flag("tensorflow_intra_op_parallelism", 0, "Number of threads within an operation.", wide=True),
    Flag("tensorflow_inter_op_parallelism", 0, "Number of operations in parallel.", wide=True),
    Flag("tensorflow_session_config_file", "", "ConfigProto file in text format."),
    Flag("per_process_gpu_memory_fraction", 0.0, "Fraction of the GPU memory to allocate."),
    Flag("enable_signature_method_name_check", False, "Checks method names of signatures."),
    Flag("version", False, "Prints the version and exits."),
    _ignored("flush_filesystem_caches", True, "File caches stay as they are."),
    _ignored("platform_config_file", "", "TensorFlow is the only platform."),
    _ignored("thread_pool_factory_config_file", "", "TensorFlow's own thread pools are used."),
    Flag("grpc_channel_arguments", "", "Further arguments of the gRPC server: name=value,…"),
    Flag("grpc_max_threads", 4 * CPUS, "Maximum number of gRPC model runs at once."),
    Flag("ssl_config_file", "", "SSLConfig file in text format, for gRPC."),
    Flag("enable_grpc_healthcheck_service", False, "Answers gRPC health checks."),
    Flag("enable_serialization_as_tensor_content", False, "For responses over gRPC."),
    _ignored("use_alts_credentials", False, "ALTS is not supported."),
    _ignored("enable_profiler", True, "There is no profiler."),
    _ignored("remove_unused_fields_from_bundle_metagraph", True, "The fields are kept."),
    _ignored("prefer_tflite_model", False, "TFLite models in SavedModels are not read."),
    _ignored("num_tflite_pools", 1, "TFLite models in SavedModels are not read."),
    _ignored("num_tflite_interpreters_per_pool", 1, "TFLite models in SavedModels are not read."),
    _ignored("xla_cpu_compilation_enabled", False, "TensorFlow decides."),
    _ignored("xla_gpu_compilation_enabled", False, "TensorFlow decides."),
    _ignored("mixed_precision", "", "Use --precision with OpenVINO instead."),
    _ignored("skip_initialize_tpu", False, "TPUs are not supported."),
)


def with_defaults(flags: Sequence[Flag], environ: Mapping[str, str]) -> list[Flag]:
    """Return the flags with the defaults that environment variables set."""
    host = environ.get(HOST_VARIABLE)
    if not host:
        return list(flags)
    return [replace(flag, default=host) if flag.name in _HOST_FLAGS else flag for flag in flags]
