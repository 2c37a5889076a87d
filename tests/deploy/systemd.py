"""A real systemd as process 1 of namespaces, with this project's unit.

It has a network, a cgroup and process ids of its own; ``/etc`` and ``/var`` are layers over those
of the machine, ``/opt`` has a copy of the project. So it needs root, but changes nothing outside.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import gunicorn

from tests.running import ROOT
from tests.waiting import eventually

SERVICE = "image-classification-gateway"
#: Where the unit expects the project.
HOME = f"/opt/{SERVICE}"
#: Where the interpreter of the tests and its packages are seen, wherever they lie.
_PYTHON = "/opt/python"
_PACKAGES = "/opt/packages"
_COPIED = (
    *("auto_cmd.py", "models.toml", "pyproject.toml", "constraints.txt", "deploy", "scripts"),
    *("flask_server", "model_server", "model_catalog", "orchestrator", "my_digit_classifier"),
    *("serving_api", "serving_gateway", "serving_tracing"),
)

#: Makes the file system of the new namespaces, then becomes systemd.
_BOOT = f"""
set -e
cd "$1"
mount --make-rprivate /
for name in etc var; do
    mkdir -p $name work-$name
    mount -t overlay overlay -o "lowerdir=/$name,upperdir=$1/$name,workdir=$1/work-$name" /$name
done
mount --bind "$1/opt" /opt
mount --bind "{sys.base_prefix}" {_PYTHON}
mount --bind "{Path(gunicorn.__file__).parents[1]}" {_PACKAGES}
mount -t tmpfs tmpfs /run
umount -R /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
ip link set lo up
# Addresses that stand for those of other hosts.
ip address add 10.77.0.1/24 dev lo
# None of the units that the machine starts.
for wants in /lib/systemd/system/*.target.wants /etc/systemd/system/*.target.wants; do
    mount -t tmpfs tmpfs "$wants"
done
: > /etc/fstab
mkdir -p /etc/sysusers.d /etc/systemd/system/{SERVICE}.service.d
cp {HOME}/deploy/sysusers.d/*.conf /etc/sysusers.d/
systemd-sysusers
cp {HOME}/deploy/{SERVICE}.service /etc/systemd/system/
echo LD_LIBRARY_PATH={_PYTHON}/lib > /etc/{SERVICE}.env
printf '[Unit]\\nRequires=systemd-journald.service\\n' > /etc/systemd/system/trial.target
touch /run/booted
exec env container=other /lib/systemd/systemd --system --unit=trial.target --log-target=null
"""

#: A program that says what it may do; each attempt has a process of its own, which it changes.
_PROBE = """
import ctypes, json, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    if getattr(libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), name)
def connect(family, kind, address):
    with socket.socket(family, kind) as one:
        one.connect(address)
        one.send(b"x")
tried = {
    "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "another host": lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("10.77.0.2", 9)),
    "this host": lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 9)),
    "new namespace": lambda: call("unshare", 0x10000000),
    "mount": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "trace": lambda: call("ptrace", 0, 0, 0, 0),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 5),
    "processors": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
    "write code": lambda: open("/opt/written", "w"),
    "write system": lambda: open("/etc/written", "w"),
    "write tmp": lambda: open("/tmp/written", "w"),
    "homes": lambda: os.listdir("/root"),
    "other processes": lambda: os.listdir("/proc/1"),
    "devices": lambda: os.stat("/dev/kmsg"),
}
done = {}
for name, attempt in tried.items():
    if not (child := os.fork()):
        try:
            attempt()
        except OSError:
            os._exit(1)
        os._exit(0)
    done[name] = os.waitpid(child, 0)[1] == 0
print(json.dumps(done))
"""


def restrictions() -> str:
    """Return the lines of the unit that restrict what the service may do."""
    lines = Path(ROOT, "deploy", f"{SERVICE}.service").read_text().partition("NoNewPriv")[2]
    return "NoNewPriv" + lines.partition("[Install]")[0]


class Systemd:
    """A running systemd and its units."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def _pid(self) -> int:
        """The PID outside of process 1 inside."""
        (child,) = (
            Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        )
        return int(child)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        enter = ["nsenter", "-t", str(self._pid), "-m", "-p", "-C", "-u", "-i", "-n"]
        return subprocess.run(
            [*enter, *command], capture_output=True, text=True, check=False, timeout=120
        )

    def systemctl(self, *words: str) -> None:
        """Run systemctl for the service; raise AssertionError with the journal where it fails."""
        done = self.run("systemctl", *words, SERVICE)
        assert done.returncode == 0, done.stderr + self.journal()

    def journal(self, unit: str = SERVICE) -> str:
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).stdout

    def show(self, name: str) -> str:
        """Return a property of the service."""
        return self.run("systemctl", "show", "-P", name, SERVICE).stdout.strip()

    def use(self, *lines: str) -> None:
        """Give the service a drop-in with these lines."""
        text = "\n".join(["[Service]", *lines, ""])
        self.write(f"/etc/systemd/system/{SERVICE}.service.d/trial.conf", text)
        assert self.run("systemctl", "daemon-reload").returncode == 0

    def write(self, path: str, text: str) -> None:
        assert self.run("sh", "-c", 'printf %s "$1" > "$2"', "sh", text, path).returncode == 0

    def processes(self) -> list[dict[str, str]]:
        """Return ``/proc/PID/status`` of each process of the service."""
        listed = f"/sys/fs/cgroup/system.slice/{SERVICE}.service/cgroup.procs"
        found = []
        for pid in self.run("cat", listed).stdout.split():
            lines = self.run("cat", f"/proc/{pid}/status").stdout.splitlines()
            found.append(
                {name: value.strip() for name, _, value in (x.partition(":") for x in lines)}
            )
        return found

    def predict(self, image: Path, model: str) -> Any:
        """Return the answer of the gateway, None without one."""
        url = f"http://127.0.0.1:5000/models/{model}/predict"
        done = self.run("curl", "-s", "-m", "20", "-F", f"image=@{image}", url)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def attempts(self, name: str, restrictions: str) -> dict[str, bool]:
        """Return what a new service of root may do with these restrictions.

        It is not in root's group, whose members see the processes of others in any case.
        """
        service = f"[Service]\nType=oneshot\nGroup=image-gateway\n{restrictions}"
        service += f"EnvironmentFile=/etc/{SERVICE}.env\n"
        service += f"ExecStart={HOME}/.venv/bin/python {HOME}/probe.py\n"
        self.write(f"/run/systemd/system/{name}.service", service)
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "start", name)
        return self._attempts_of(name)

    def _attempts_of(self, name: str) -> dict[str, bool]:
        """Return what a service has told; the journal has it a moment after the end."""
        told: list[str] = []

        def has_told() -> bool:
            told[:] = re.findall(r"^\{.*\}$", self.journal(name), re.MULTILINE)
            return bool(told)

        assert eventually(has_told), self.journal(name)
        found: dict[str, bool] = json.loads(told[0])
        return found


@contextmanager
def running(folder: Path) -> Iterator[Systemd]:
    """Run systemd; the service is not started."""
    _write_project(folder / "opt")
    (folder / "boot.sh").write_text(_BOOT)
    command = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--cgroup",
        "--uts",
        "--ipc",
    ]
    command += ["--net", "--mount-proc", "bash", str(folder / "boot.sh"), str(folder)]
    with _own_cgroup() as cgroup, (folder / "boot.log").open("wb") as log:
        join = f'echo $$ > {cgroup}/cgroup.procs && exec "$@"'
        process = subprocess.Popen(["sh", "-c", join, "sh", *command], stdout=log, stderr=log)
        try:
            yield _booted(process, folder / "boot.log")
        finally:
            process.kill()
            process.wait(60)


def _booted(process: subprocess.Popen[bytes], log: Path) -> Systemd:
    """Wait until systemd is up."""
    systemd = Systemd(process)
    is_decided = eventually(lambda: process.poll() is not None or _is_up(systemd))
    assert is_decided, log.read_text()
    assert process.poll() is None, log.read_text()
    return systemd


def _is_up(systemd: Systemd) -> bool:
    try:
        return "trial.target" in systemd.run("systemctl", "list-units", "--plain").stdout
    except ValueError:  # process 1 does not exist yet
        return False


def _write_project(folder: Path) -> None:
    home = folder / SERVICE
    home.mkdir(parents=True)
    for name in _COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, home / name)
    (home / "my_image_classifier").mkdir()  # without a version, so that the start is fast
    (home / "probe.py").write_text(_PROBE)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = home / ".venv" / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (packages / "packages.pth").write_text(f"{HOME}\n{_PACKAGES}\n")
    (home / ".venv" / "pyvenv.cfg").write_text(f"home = {_PYTHON}/bin\n")
    (home / ".venv" / "bin").mkdir()
    (home / ".venv" / "bin" / "python").symlink_to(f"{_PYTHON}/bin/{version}")
    for name in (_PYTHON, _PACKAGES):
        (folder / Path(name).name).mkdir()
    subprocess.run(["chmod", "-R", "a+rX", str(folder.parent)], check=True)


@contextmanager
def _own_cgroup() -> Iterator[Path]:
    """Make a cgroup of version 2, the root of what systemd sees."""
    root = next(
        path
        for path in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
        if (path / "cgroup.controllers").exists()
    )
    cgroup = root / f"trial-{time.monotonic_ns()}"
    try:
        cgroup.mkdir()
        yield cgroup
    finally:
        _remove(cgroup)


def _remove(cgroup: Path) -> None:
    """Remove a cgroup whose processes have ended, with those below it."""

    def is_removed() -> bool:
        for folder in sorted((cgroup, *cgroup.rglob("*/")), reverse=True):
            with suppress(OSError):
                folder.rmdir()
        return not cgroup.exists()

    assert eventually(is_removed), cgroup
