"""What the archives contain, and what the package says it needs."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile

from packaging.requirements import Requirement

from tests.install.conftest import PACKAGES, ROOT, Built, requirements_of

#: Files of a folder that people make or that tools leave there.
NOT_SHIPPED = {".pyc", ".keras", ".h5"}


def project() -> dict[str, list[str]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        document = tomllib.load(file)["project"]
    return {"": document["dependencies"], **document["optional-dependencies"]}


def test_the_wheel_has_every_file_of_the_packages_and_no_other(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}

    files = {path for room in PACKAGES for path in (ROOT / room).rglob("*") if path.is_file()}
    wanted = {str(path.relative_to(ROOT)) for path in files if path.suffix not in NOT_SHIPPED}
    assert names == wanted | {"auto_cmd.py"}


def test_the_sdist_has_what_the_wheel_is_built_from_and_no_tests(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}

    wanted = {"pyproject.toml", "LICENSE", "constraints.txt", "docs/install.md", "compose.yaml"}
    assert wanted | {"deploy/Dockerfile.gateway"} <= names
    assert not {n for n in names if n.startswith(("tests", "benchmarks")) or n.endswith(".pyc")}


def test_every_package_says_that_it_is_typed() -> None:
    assert [room for room in PACKAGES if not (ROOT / room / "py.typed").is_file()] == []


def test_a_plain_install_brings_the_gateway_and_openvino() -> None:
    extras = project()

    own = {"platformdirs>=4.3", "tomlkit>=0.13", "tqdm>=4.67"}
    assert set(extras[""]) == {*extras["gateway"], *extras["openvino"], *own}


def test_the_wheel_names_the_extras_as_pyproject_does(built: Built) -> None:
    wanted = [Requirement(line).name for line in project()["gateway"]]

    assert requirements_of(built, "gateway") == wanted


def test_only_the_extras_of_tensorflow_bring_it() -> None:
    with_it = {
        extra for extra, lines in project().items() if any("tensorflow" in line for line in lines)
    }

    assert with_it == {"tensorflow", "embedded", "gpu"}


def test_the_manual_lists_what_a_host_of_the_gateway_alone_needs() -> None:
    manual = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    (listed,) = [
        line for line in manual.splitlines() if line.startswith("pip install platformdirs")
    ]

    names = [Requirement(line).name for line in project()["gateway"]]
    assert listed.split()[2:] == ["platformdirs", *names]
