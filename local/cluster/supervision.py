"""Runs the cluster's processes under `supervisor`: one log each, restarted when they die."""

from __future__ import annotations

import hashlib
import http.client
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from supervisor.xmlrpc import SupervisorTransport

from local.paths import LOGS, PROCESS_MARKER, ROOT, STATE

CONFIGURATION = STATE / "supervisord.conf"
PID_FILE = STATE / "supervisord.pid"
START_SECONDS = 15.0
STOP_SECONDS = 15.0
"""Every part ends within a second or two when asked; one that hangs is killed after this."""

SOCKET_PATH_LIMIT = 100
"""Linux allows 107 bytes for the path of a Unix socket, macOS 103."""


class SupervisionError(Exception):
    """The supervisor did not start or stop; the text names its log."""


@dataclass(frozen=True)
class Program:
    name: str
    command: tuple[str, ...]
    order: int
    """Lower starts earlier and stops later."""
    folder: Path = ROOT
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ProgramState:
    name: str
    state: str
    """Supervisor's own word: RUNNING, STARTING, BACKOFF, FATAL, STOPPED, EXITED."""
    pid: int
    since: float
    """Seconds since the Unix epoch."""

    @property
    def log(self) -> Path:
        return LOGS / f"{self.name}.log"


def socket_path() -> Path:
    """The supervisor's control socket: in STATE unless that path is too long for a socket."""
    path = STATE / "supervisor.sock"
    if len(str(path)) <= SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.sha256(str(STATE).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"llm-platform-{digest}.sock"


def configuration(programs: tuple[Program, ...]) -> str:
    """supervisord's configuration file for these programs. They are started one by one, by `start`."""
    lines = [
        "[supervisord]",
        f"logfile = {_escaped(LOGS / 'supervisord.log')}",
        f"pidfile = {_escaped(PID_FILE)}",
        f"childlogdir = {_escaped(LOGS)}",
        f"environment = {_environment({PROCESS_MARKER: str(STATE)})}",
        "[unix_http_server]",
        f"file = {_escaped(socket_path())}",
        "chmod = 0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in programs:
        lines += [
            f"[program:{program.name}]",
            f"command = {' '.join(_escaped(_quoted(part)) for part in program.command)}",
            f"directory = {_escaped(program.folder)}",
            f"priority = {program.order}",
            "autostart = false",
            "autorestart = true",
            # A part that dies because another one is down is tried for as long as the cluster is up.
            "startretries = 1000000",
            "startsecs = 1",
            f"stopwaitsecs = {STOP_SECONDS:.0f}",
            "redirect_stderr = true",
            f"stdout_logfile = {_escaped(LOGS / f'{program.name}.log')}",
            "stdout_logfile_maxbytes = 20MB",
            "stdout_logfile_backups = 1",
            f"environment = {_environment(program.environment)}",
        ]
    return "\n".join(lines) + "\n"


def _quoted(part: str) -> str:
    return f'"{part}"' if " " in part else part


def _escaped(value: object) -> str:
    return str(value).replace("%", "%%")


def _environment(values: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())


class Supervisor:
    """The running supervisor of this state folder, spoken to over its socket."""

    @staticmethod
    def _proxy() -> xmlrpc.client.ServerProxy:
        """A proxy for one call: after a refused connection the transport cannot be used again.

        The host in the address is not used: the transport dials the socket.
        """
        transport = SupervisorTransport(None, None, f"unix://{socket_path()}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)

    def running(self) -> bool:
        try:
            with self._proxy() as proxy:
                proxy.supervisor.getState()
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return False
        return True

    def launch(self, programs: tuple[Program, ...]) -> None:
        """Writes the configuration and starts supervisord as a daemon; no program runs yet."""
        LOGS.mkdir(parents=True, exist_ok=True)
        CONFIGURATION.write_text(configuration(programs))
        answer = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(CONFIGURATION)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.running():
            if answer.returncode != 0 or time.monotonic() > deadline:
                raise SupervisionError(
                    f"supervisord did not start (exit status {answer.returncode}): "
                    f"{(answer.stderr or answer.stdout).strip()[-500:]} (log: {LOGS / 'supervisord.log'})"
                )
            time.sleep(0.05)

    def start(self, program: str) -> None:
        """Starts one program without waiting for it; a running one is left alone."""
        try:
            with self._proxy() as proxy:
                proxy.supervisor.startProcess(program, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise SupervisionError(f"{program} cannot be started: {fault.faultString}") from fault

    def stop(self, program: str) -> None:
        """Stops one program, waits for its end, and leaves it stopped; a stopped one is left alone."""
        try:
            with self._proxy() as proxy:
                proxy.supervisor.stopProcess(program, True)
        except xmlrpc.client.Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise SupervisionError(f"{program} cannot be stopped: {fault.faultString}") from fault

    def signal(self, program: str, name: str) -> None:
        """Sends a running program a signal, such as HUP. Raises SupervisionError if it does not run."""
        try:
            with self._proxy() as proxy:
                proxy.supervisor.signalProcess(program, name)
        except (OSError, xmlrpc.client.Error, http.client.HTTPException) as error:
            raise SupervisionError(f"{program} cannot be sent SIG{name}: {error}") from error

    def states(self) -> tuple[ProgramState, ...]:
        with self._proxy() as proxy:
            answer = proxy.supervisor.getAllProcessInfo()
        assert isinstance(answer, list)
        return tuple(
            ProgramState(str(row["name"]), str(row["statename"]), int(row["pid"]), float(row["start"]))
            for row in answer
        )

    def shut_down(self) -> None:
        """Stops every program in order and then the supervisor itself."""
        pid = int(PID_FILE.read_text()) if PID_FILE.exists() else None
        try:
            with self._proxy() as proxy:
                proxy.supervisor.shutdown()
        except (OSError, xmlrpc.client.Error, http.client.HTTPException):
            return
        deadline = time.monotonic() + 2 * STOP_SECONDS
        while pid is not None and _alive(pid) and time.monotonic() < deadline:
            time.sleep(0.05)


def _alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
