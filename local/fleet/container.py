"""One container of a pod: start, watch, restart, stop. The rules are kubelet's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol

from local.fleet.actions import Actions, Outcome
from local.fleet.backoff import Backoff, BackoffPolicy
from local.fleet.environment import ConfigError
from local.fleet.first_completed import first_completed
from local.fleet.images import program_of
from local.fleet.messages import termination_message
from local.fleet.pod_model import (
    Container,
    ContainerState,
    ContainerStatus,
    Probe,
    RestartPolicy,
    StateRunning,
    StateTerminated,
    StateWaiting,
)
from local.fleet.probes import watch
from local.fleet.processes import (
    CannotStart,
    Launch,
    exit_code,
    kill_group,
    start,
    terminate,
)
from local.fleet.status import should_restart

START_ERROR = 128
"""Exit code of a container whose command could not be started."""

LEAST_GRACE_SECONDS = 2.0
"""What is left for SIGTERM when a preStop hook has used up the grace period: kubelet's minimum."""


class OwningPod(Protocol):
    """What a container needs of its pod."""

    def launch(self, container: Container) -> Launch:
        """What to start. Raises ConfigError while the configuration is incomplete."""
        ...

    def actions(self, container: Container) -> Actions:
        """What performs the container's probes and hooks."""
        ...

    async def configuration_changed(self) -> None:
        """Return when a ConfigMap or Secret of the pod has changed."""
        ...

    def event(self, kind: Literal["Normal", "Warning"], reason: str, message: str, container: str) -> None:
        """Record an event on the pod."""
        ...

    def changed(self) -> None:
        """Take note that a container's status has changed."""
        ...


@dataclass(frozen=True)
class Files:
    """A container's files on this machine: output of this run and of the one before, and its last message."""

    log: Path
    previous_log: Path
    message: Path


@dataclass(frozen=True)
class Rules:
    """When a container is restarted, how long it has to end, how long crashes make it wait."""

    restart: RestartPolicy
    grace: float
    backoff: BackoffPolicy


class ContainerRunner:
    """Runs one container until it needs no further start, or until it is stopped.

    `status` is what the pod reports of it. A container whose image the fleet does not know, in a pod of which
    it knows another, has no process: it counts as running until it is stopped, and an init container of that
    kind as done at once, which is what KWOK would report.
    """

    def __init__(
        self, spec: Container, status: ContainerStatus, files: Files, rules: Rules, pod: OwningPod
    ) -> None:
        self.spec = spec
        self.status = status
        self._files = files
        self._rules = rules
        self._pod = pod
        self._actions = pod.actions(spec)
        self._backoff = Backoff(rules.backoff)
        self._stopping = asyncio.Event()
        self._exited = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._ending: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Start, and start again as the restart policy says. Returns when the container is over."""
        if program_of(self.spec.image) is None:
            await self._idle()
            return
        while not self._stopping.is_set():
            launch = await self._configured()
            if launch is None:
                return
            began = asyncio.get_running_loop().time()
            code = await self._run_once(launch)
            if self._stopping.is_set() or not should_restart(self._rules.restart, code):
                return
            await self._back_off(asyncio.get_running_loop().time() - began)

    async def stop(self, grace: float) -> None:
        """End the container within `grace` seconds (preStop hook, SIGTERM, SIGKILL), for good."""
        self._stopping.set()
        self._cancel_probes("startup", "liveness")
        if self._process is None or self._exited.is_set():
            return
        self._pod.event("Normal", "Killing", f"Stopping container {self.spec.name}", self.spec.name)
        if self._ending is None:
            self._ending = asyncio.create_task(self._end(self._process, grace))
        else:  # a failed probe is ending it already, with its own grace period
            self.hasten(grace)
        await self._ending

    def hasten(self, grace: float) -> None:
        """Shorten what is left of the grace period to `grace` seconds."""
        if self._process is not None and not self._exited.is_set():
            asyncio.get_running_loop().call_later(grace, self._kill, self._process)

    def kill(self) -> None:
        """End everything of the container now, without a word to it."""
        self._stopping.set()
        self._cancel_probes(*self._probes)
        if self._process is not None:
            self._kill(self._process)

    def _kill(self, process: asyncio.subprocess.Process) -> None:
        if process is self._process and not self._exited.is_set():
            kill_group(process)

    async def _configured(self) -> Launch | None:
        while not self._stopping.is_set():
            try:
                return self._pod.launch(self.spec)
            except ConfigError as error:
                self._waiting("CreateContainerConfigError", str(error))
                self._pod.event("Warning", "Failed", f"Error: {error}", self.spec.name)
                await first_completed(self._pod.configuration_changed(), self._stopping.wait())
        return None

    async def _run_once(self, launch: Launch) -> int:
        self._new_files()
        began = datetime.now(UTC)
        try:
            process = await start(launch, self._files.log)
        except CannotStart as error:
            self._pod.event("Warning", "Failed", f"Error: {error}", self.spec.name)
            self._count_start(None)
            self._terminated(START_ERROR, "StartError", str(error), began)
            return START_ERROR
        self._process, self._ending = process, None
        self._exited.clear()
        if self._stopping.is_set():
            kill_group(process)
        self._pod.event("Normal", "Started", f"Started container {self.spec.name}", self.spec.name)
        self._count_start(f"process://{process.pid}")
        self._change(state=ContainerState(running=StateRunning(started_at=began)))
        self._probes["all"] = asyncio.create_task(self._watch(process))
        await process.wait()
        self._exited.set()
        self._cancel_probes(*self._probes)
        kill_group(process)
        code = exit_code(process)
        message = termination_message(
            self._files.message, self._files.log, self.spec.termination_message_policy, code
        )
        self._terminated(code, "Completed" if code == 0 else "Error", message, began)
        return code

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Everything that happens beside the running process: postStart hook, then the probes."""
        spec = self.spec
        if spec.lifecycle.post_start is not None:
            outcome = await self._actions.perform(spec.lifecycle.post_start, self._rules.grace)
            if not outcome.succeeded:
                self._pod.event("Warning", "FailedPostStartHook", outcome.message, spec.name)
                self._end_because(process, "its postStart hook failed", self._rules.grace)
                return
        if spec.startup_probe is not None and not await self._started(process, spec.startup_probe):
            return
        self._change(started=True, ready=spec.readiness_probe is None)
        if spec.readiness_probe is not None:
            self._probe("readiness", spec.readiness_probe, self._readiness)
        if spec.liveness_probe is not None and not self._stopping.is_set():
            probe = spec.liveness_probe
            self._probe(
                "liveness",
                probe,
                lambda alive: None if alive else self._unhealthy(process, "liveness", probe),
            )

    async def _started(self, process: asyncio.subprocess.Process, probe: Probe) -> bool:
        verdicts: asyncio.Queue[bool] = asyncio.Queue()
        self._probe("startup", probe, verdicts.put_nowait)
        started = await verdicts.get()
        self._cancel_probes("startup")
        if not started:
            self._unhealthy(process, "startup", probe)
        return started

    def _probe(self, kind: str, probe: Probe, verdict: Callable[[bool], None]) -> None:
        async def perform(probe: Probe, timeout: float) -> Outcome:
            return await self._actions.perform(probe, timeout)

        def failed(message: str) -> None:
            text = f"{kind.capitalize()} probe failed: {message}"
            self._pod.event("Warning", "Unhealthy", text, self.spec.name)

        self._probes[kind] = asyncio.create_task(watch(probe, perform, failed, verdict))

    def _readiness(self, ready: bool) -> None:
        if self.status.ready != ready:
            self._change(ready=ready)

    def _unhealthy(self, process: asyncio.subprocess.Process, kind: str, probe: Probe) -> None:
        grace = probe.termination_grace_period_seconds
        self._end_because(
            process, f"its {kind} probe failed", self._rules.grace if grace is None else float(grace)
        )

    def _end_because(self, process: asyncio.subprocess.Process, why: str, grace: float) -> None:
        if self._ending is None:
            text = (
                f"Container {self.spec.name} is ended because {why}; its restart policy decides what follows"
            )
            self._pod.event("Normal", "Killing", text, self.spec.name)
            self._ending = asyncio.create_task(self._end(process, grace))

    async def _end(self, process: asyncio.subprocess.Process, grace: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        if self.spec.lifecycle.pre_stop is not None and grace > 0:
            await first_completed(self._pre_stop(grace), self._exited.wait())
        if not self._exited.is_set():
            terminate(process)
            left = max(deadline - loop.time(), LEAST_GRACE_SECONDS) if grace > 0 else 0.0
            await first_completed(self._exited.wait(), asyncio.sleep(left))
        if not self._exited.is_set():
            kill_group(process)
            await self._exited.wait()

    async def _pre_stop(self, grace: float) -> None:
        hook = self.spec.lifecycle.pre_stop
        if hook is not None:
            outcome = await self._actions.perform(hook, grace)
            if not outcome.succeeded:
                self._pod.event("Warning", "FailedPreStopHook", outcome.message, self.spec.name)

    async def _back_off(self, ran_for: float) -> None:
        wait = self._backoff.next_wait(ran_for)
        if wait == 0:
            return
        name = self.spec.name
        self._waiting("CrashLoopBackOff", f"back-off {wait:g}s restarting failed container {name}")
        self._pod.event("Warning", "BackOff", f"Back-off restarting failed container {name}", name)
        await first_completed(asyncio.sleep(wait), self._stopping.wait())

    async def _idle(self) -> None:
        now = datetime.now(UTC)
        self._change(state=ContainerState(running=StateRunning(started_at=now)), started=True, ready=True)
        await self._stopping.wait()
        self._terminated(0, "Completed", None, now)

    def _new_files(self) -> None:
        if self._files.log.exists():
            self._files.log.replace(self._files.previous_log)
        self._files.message.parent.mkdir(parents=True, exist_ok=True)
        self._files.message.write_bytes(b"")

    def _count_start(self, container_id: str | None) -> None:
        ended = self.status.state.terminated
        if ended is None:
            ended = self.status.last_state.terminated
        self._change(
            container_id=container_id,
            restart_count=self.status.restart_count + (ended is not None),
            last_state=ContainerState(terminated=ended),
        )

    def _waiting(self, reason: str, message: str) -> None:
        ended = self.status.state.terminated
        if ended is None:
            ended = self.status.last_state.terminated
        self._change(
            state=ContainerState(waiting=StateWaiting(reason=reason, message=message)),
            last_state=ContainerState(terminated=ended),
        )

    def _terminated(self, code: int, reason: str, message: str | None, began: datetime) -> None:
        state = StateTerminated(
            exit_code=code,
            reason=reason,
            message=message,
            started_at=began,
            finished_at=datetime.now(UTC),
            containerID=self.status.container_id,
        )
        self._change(state=ContainerState(terminated=state), ready=False, started=False)

    def _change(self, **fields: object) -> None:
        self.status = self.status.model_copy(update=fields)
        self._pod.changed()

    def _cancel_probes(self, *kinds: str) -> None:
        for kind in kinds:
            task = self._probes.pop(kind, None)
            if task is not None:
                task.cancel()
