from __future__ import annotations

from pathlib import Path

import pytest

from flask_server.settings import FastResize, Settings, SettingsError


def test_defaults_need_no_environment() -> None:
    assert Settings.from_env({"PATH": "/bin"}) == Settings()


def test_values_are_read_by_their_type() -> None:
    settings = Settings.from_env(
        {
            "GATEWAY_SERVING_URL": "http://[::1]:8501/",
            "GATEWAY_CORS_ORIGINS": "https://a.example, http://localhost:4200/",
            "GATEWAY_MAX_BODY_BYTES": "1",
            "GATEWAY_MAX_INFLIGHT_CALLS": "3",
            "GATEWAY_DEADLINE_S": "2.5",
            "GATEWAY_FAST_JPEG": "no",
            "GATEWAY_FAST_RESIZE": "yes",
            "GATEWAY_MODELS_FILE": "/etc/models.toml",
        }
    )

    assert settings.serving_url == "http://[::1]:8501"
    assert settings.cors_origins == ("https://a.example", "http://localhost:4200")
    assert settings.max_body_bytes == 1
    assert settings.max_inflight_calls == 3
    assert settings.deadline_s == 2.5
    assert not settings.fast_jpeg
    assert settings.fast_resize is FastResize.ON
    assert settings.models_file == Path("/etc/models.toml")


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("*", "*"),
        ("HTTPS://App.Example/", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80/", "http://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("http://[::1]:4200", "http://[::1]:4200"),
    ],
)
def test_an_origin_is_kept_as_browsers_send_it(text: str, origin: str) -> None:
    assert Settings.from_env({"GATEWAY_CORS_ORIGINS": text}).cors_origins == (origin,)


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError, match="user name or password") as caught:
        Settings.from_env({"GATEWAY_SERVING_URL": "http://me:secret@host:9000"})

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["grpc://host:8500", "grpc://[::1]:8500", "grpc://10.0.0.7:1/", "grpcs://host:8500"]
)
def test_the_model_server_may_be_asked_over_grpc(url: str) -> None:
    assert Settings.from_env({"GATEWAY_SERVING_URL": url}).serving_url == url.rstrip("/")


def test_the_model_server_may_have_several_addresses() -> None:
    settings = Settings.from_env({"GATEWAY_SERVING_URL": "http://a:8501/, https://b:8501"})

    assert settings.serving_url == "http://a:8501,https://b:8501"


def test_a_fast_resizer_may_be_used_where_there_is_one() -> None:
    assert Settings.from_env({"GATEWAY_FAST_RESIZE": "auto"}).fast_resize is FastResize.AUTO


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("GATEWAY_SERVING_URL", "localhost:9000", "a root URL such as"),
        ("GATEWAY_SERVING_URL", "http://host/v1", "without /v1"),
        ("GATEWAY_SERVING_URL", "grpc://host", "grpc://host:8500"),
        ("GATEWAY_SERVING_URL", "grpc://host:8500/path", "grpc://host:8500"),
        ("GATEWAY_SERVING_URL", "http://a:1,grpc://b:2", "of the same kind, separated by commas"),
        ("GATEWAY_SERVING_URL", "http://a:1,http://a:1/", "several different ones"),
        ("GATEWAY_SERVING_URL", "http://a:1,", "a root URL such as"),
        ("GATEWAY_CORS_ORIGINS", "grpc://host:8500", "origins"),
        ("GATEWAY_MAX_BODY_BYTES", "0", "1 or more"),
        ("GATEWAY_MAX_BODY_BYTES", "32MB", "1 or more"),
        ("GATEWAY_MAX_PIXELS", "-5", "1 or more"),
        ("GATEWAY_DEADLINE_S", "0", "above 0"),
        ("GATEWAY_DEADLINE_S", "nan", "above 0"),
        ("GATEWAY_DEADLINE_S", "inf", "above 0"),
        ("GATEWAY_DEADLINE_S", "2147484", "at most 2147483"),
        ("GATEWAY_FAST_JPEG", "maybe", "true or false"),
        ("GATEWAY_CORS_ORIGINS", "", "origins"),
        ("GATEWAY_CORS_ORIGINS", "app.example", "origins"),
        ("GATEWAY_CORS_ORIGINS", "https://*.example", "origins"),
        ("GATEWAY_CORS_ORIGINS", "https://app.example, https://(a|b).example", "origins"),
        ("GATEWAY_CORS_ORIGINS", "https://me@app.example", "origins"),
        ("GATEWAY_MODELS_FILE", " ", "a file"),
    ],
)
def test_bad_value_names_variable_value_and_what_is_allowed(
    variable: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({variable: value})

    assert f"{variable}={value!r}" in str(caught.value)
    assert allowed in str(caught.value)


def test_address_with_a_password_is_not_repeated() -> None:
    with pytest.raises(SettingsError, match="GATEWAY_LIMITS_URL: allowed is memory://") as caught:
        Settings.from_env({"GATEWAY_LIMITS_URL": "mysql://user:secret@host"})

    assert "secret" not in str(caught.value)


def test_misspelt_variable_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(
        SettingsError, match="GATEWAY_SERVINGURL is no setting.*GATEWAY_SERVING_URL"
    ):
        Settings.from_env({"GATEWAY_SERVINGURL": "http://x"})


@pytest.mark.parametrize(
    "variable",
    ["GATEWAY_PORT", "GATEWAY_PORT_5000_TCP", "GATEWAY_SERVICE_HOST", "GATEWAY_SERVICE_PORT_HTTP"],
)
def test_names_that_kubernetes_injects_are_ignored(variable: str) -> None:
    assert Settings.from_env({variable: "tcp://10.0.0.1:5000"}) == Settings()


def test_threads_are_the_bound_and_some_to_refuse_with() -> None:
    assert Settings(max_in_flight=4).threads == 12


def test_an_old_name_still_works_and_names_the_new_one(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings.from_env({"GATEWAY_CALLS_UNDER_WAY": "5"})

    assert settings.max_inflight_calls == 5
    assert "GATEWAY_CALLS_UNDER_WAY is now called GATEWAY_MAX_INFLIGHT_CALLS" in caplog.text


def test_an_old_and_a_new_name_together_are_refused() -> None:
    both = {"GATEWAY_CALLS_UNDER_WAY": "5", "GATEWAY_MAX_INFLIGHT_CALLS": "5"}

    with pytest.raises(SettingsError, match="only one of them is allowed"):
        Settings.from_env(both)


def test_memory_has_room_for_the_largest_body() -> None:
    sizes = {"GATEWAY_MAX_BODY_BYTES": "1000", "GATEWAY_MAX_MEMORY": "4999"}

    with pytest.raises(SettingsError, match="allowed is 5000 or more, 5 times GATEWAY_MAX_BODY"):
        Settings.from_env(sizes)
