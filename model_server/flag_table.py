"""List the flags: all of tensorflow_model_server's with its names and defaults, and a few more.

The help of a flag that tensorflow_model_server does not have ends with "(Ours.)".
"""

from __future__ import annotations

from typing import Final

from model_server.cpus import CPUS
from model_server.flags import Flag, Value


def _ignored(name: str, default: Value, help_text: str, *, wide: bool = False) -> Flag:
    return Flag(name, default, help_text, ignored=True, wide=wide)


FLAGS: Final = (
    Flag("port", 8500, "gRPC port of the genuine server. Checked, but nothing listens there."),
    Flag("grpc_socket_path", "", "gRPC socket of the genuine server. Nothing listens there."),
    Flag("rest_api_port", 0, "Port of the HTTP/REST API."),
    Flag("rest_api_host", "127.0.0.1", "Address to listen on; 0.0.0.0 or :: for all. (Ours.)"),
    Flag("rest_api_num_threads", 4 * CPUS, "How many requests are worked on at the same time."),
    Flag("rest_api_timeout_in_ms", 30_000, "Time limit of a model run; 0 or less is none."),
    Flag("rest_api_enable_cors_support", False, "Adds CORS headers to every answer."),
    Flag("shutdown_grace_seconds", 10.0, "How long SIGTERM waits for running requests. (Ours.)"),
    Flag("model_name", "default", "Name of the model at model_base_path."),
    Flag("model_base_path", "", "Folder whose numbered folders are the versions of the model."),
    Flag("model_config_file", "", "ModelServerConfig as text; instead of the two above."),
    Flag("model_config_file_poll_wait_seconds", 0, "Reads the file again so often; 0 is never."),
    Flag("file_system_poll_wait_seconds", 1, "Looks for versions so often; 0 once, below never."),
    Flag("max_num_load_retries", 5, "How often a failed load is tried again."),
    Flag("load_retry_interval_micros", 60_000_000, "Time between two tries.", wide=True),
    Flag("num_load_threads", 0, "How many versions are loaded at the same time; 0: 4 x CPUs."),
    _ignored("num_unload_threads", 0, "Unloads run in threads of their own."),
    Flag(
        "allow_version_labels_for_unavailable_models",
        False,
        "Lets new labels point at versions that are not loaded yet.",
    ),
    Flag("enable_batching", False, "Merges requests as batching_parameters_file says."),
    Flag("batching_parameters_file", "", "BatchingParameters as text."),
    Flag(
        "enable_per_model_batching_parameters",
        False,
        "Takes a model's batching_params.pbtxt from its version folder.",
    ),
    Flag("monitoring_config_file", "", "MonitoringConfig as text."),
    Flag("enable_model_warmup", True, "Replays a version's warm-up requests before it serves."),
    Flag("num_request_iterations_for_warmup", 0, "How often; 0 is once."),
    Flag("engine", "auto", "auto, tensorflow or openvino. (Ours.)"),
    Flag("precision", "f32", "OpenVINO computes in f32, bf16 or auto: bf16 if it can. (Ours.)"),
    Flag("streams", 1, "Runs that OpenVINO computes side by side, on a share each. (Ours.)"),
    Flag("openvino_cache_dir", "", "Folder for compiled models; empty keeps none. (Ours.)"),
    Flag("saved_model_tags", "serve", "Tags of the meta graph to load, with commas between."),
    Flag("tensorflow_session_parallelism", 0, "Threads in and between operations.", wide=True),
    Flag("tensorflow_intra_op_parallelism", 0, "Threads within an operation.", wide=True),
    Flag("tensorflow_inter_op_parallelism", 0, "Operations side by side.", wide=True),
    Flag("tensorflow_session_config_file", "", "ConfigProto as text."),
    Flag("per_process_gpu_memory_fraction", 0.0, "Share of the GPU's memory to take."),
    Flag("enable_signature_method_name_check", False, "Checks method names in :classify."),
    Flag("version", False, "Prints the version and ends."),
    _ignored("flush_filesystem_caches", True, "The operating system keeps its caches."),
    _ignored("platform_config_file", "", "There is one platform."),
    _ignored("thread_pool_factory_config_file", "", "TensorFlow's own thread pools serve."),
    _ignored("grpc_channel_arguments", "", "There is no gRPC."),
    _ignored("grpc_max_threads", 4 * CPUS, "There is no gRPC."),
    _ignored("ssl_config_file", "", "There is no gRPC, and REST is plain HTTP."),
    _ignored("use_alts_credentials", False, "There is no gRPC."),
    _ignored("enable_grpc_healthcheck_service", False, "There is no gRPC."),
    _ignored("enable_profiler", True, "The profiler speaks gRPC."),
    _ignored("enable_serialization_as_tensor_content", False, "It would break REST."),
    _ignored("remove_unused_fields_from_bundle_metagraph", True, "Saves memory elsewhere."),
    _ignored("prefer_tflite_model", False, "There is no TFLite."),
    _ignored("num_tflite_pools", 1, "There is no TFLite."),
    _ignored("num_tflite_interpreters_per_pool", 1, "There is no TFLite."),
    _ignored("xla_cpu_compilation_enabled", False, "TensorFlow decides."),
    _ignored("xla_gpu_compilation_enabled", False, "TensorFlow decides."),
    _ignored("mixed_precision", "", "--precision says how OpenVINO computes."),
    _ignored("skip_initialize_tpu", False, "There is no TPU."),
)
