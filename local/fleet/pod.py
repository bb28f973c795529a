"""One pod: its containers from the first to the last, its status, and its end."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

from local.fleet.actions import Actions
from local.fleet.api import ApiError
from local.fleet.container import LEAST_GRACE_SECONDS, ContainerRunner, Rules
from local.fleet.environment import ConfigError
from local.fleet.envoy import EnvoyConfigError
from local.fleet.first_completed import first_completed
from local.fleet.host import Host
from local.fleet.kube import Node
from local.fleet.pod_model import Container, ContainerStatus, Pod, RestartPolicy
from local.fleet.pod_object import PodObject
from local.fleet.processes import Launch, Result, run
from local.fleet.publisher import StatusPublisher
from local.fleet.references import Reference, references
from local.fleet.sandbox import Sandbox
from local.fleet.status import Failure, Progress, pod_status, wire_status
from local.fleet.takeover import first_status, settled
from local.fleet.tokens import request_tokens
from local.fleet.volumes import MissingSource

log = logging.getLogger(__name__)

HOST_ADDRESS = "127.0.0.1"

_RETRY_SECONDS = 0.5
_TOKEN_RETRY_SECONDS = 10.0


class PodRunner:
    """Runs one pod until it is over or deleted. `closed` is called when nothing of it runs any more."""

    def __init__(self, pod: Pod, node: Node, host: Host, closed: Callable[[PodRunner], None]) -> None:
        self.pod = pod
        self._host = host
        self._closed = closed
        self._object = PodObject(host.api, pod.metadata)
        self._sandbox = Sandbox(pod, node, host)
        self._references = references(pod)
        self._before = pod.status
        self._conditions = pod.status.conditions
        self._began = datetime.now(UTC) if pod.status.start_time is None else pod.status.start_time
        self._progress = Progress()
        self._final: dict[str, ContainerStatus] = {}
        self._runners: dict[str, ContainerRunner] = {}
        self._stopping = asyncio.Event()
        self._stepped = asyncio.Event()
        self._configuration = asyncio.Event()
        self._gone = False
        self._publisher = StatusPublisher(host.api, self._object.path, self._wire)
        self._tasks: list[asyncio.Task[None]] = []
        self._life = self._task(self._live())
        self._end: asyncio.Task[None] | None = None
        self._grace = math.inf
        self._in_background(self._publisher.run())
        if pod.spec.active_deadline_seconds is not None:
            self._in_background(self._deadline(float(pod.spec.active_deadline_seconds)))

    def update(self, pod: Pod) -> None:
        """Take the pod's object as it is now."""
        before, self.pod, self._sandbox.pod = self.pod, pod, pod
        grace = pod.metadata.deletion_grace_period_seconds
        if pod.metadata.deletion_timestamp is not None and grace is not None:
            self._delete(float(grace))
        elif _described(before) != _described(pod):
            self._lay_out_again()
        if pod.spec.readiness_gates:
            self.changed()

    def gone(self) -> None:
        """The pod's object no longer exists: what still runs is ended soon, as after a forced deletion."""
        self._gone = True
        self._delete(LEAST_GRACE_SECONDS)

    def abandon(self) -> None:
        """The pod's node no longer exists: everything ends now, and nobody is left to report it."""
        self._gone = True
        self.kill()
        if self._end is None:
            self._end = self._task(self._close())

    def kill(self) -> None:
        """End every process of the pod now."""
        self._stopping.set()
        for task in [self._life, *self._tasks]:
            task.cancel()
        for runner in self._runners.values():
            runner.kill()

    def runs(self, container: str) -> bool:
        """Whether a process of this container runs now."""
        runner = self._runners.get(container)
        return runner is not None and runner.status.state.running is not None

    def reads(self, reference: Reference) -> bool:
        """Whether the pod reads this ConfigMap or Secret."""
        return reference in self._references

    def configuration_arrived(self) -> None:
        """A ConfigMap or Secret that the pod reads has changed."""
        self._configuration.set()
        self._configuration = asyncio.Event()
        self._lay_out_again()

    # What containers need of their pod: local.fleet.container.OwningPod.

    def launch(self, container: Container) -> Launch:
        return self._sandbox.launch(container)

    def actions(self, container: Container) -> Actions:
        async def run_command(command: list[str], timeout: float) -> Result:
            return await run(self._sandbox.hook(container, command), timeout)

        return Actions(container, self._sandbox.ports, run_command)

    async def configuration_changed(self) -> None:
        await self._configuration.wait()

    def event(self, kind: Literal["Normal", "Warning"], reason: str, message: str, container: str) -> None:
        self._host.events.emit(self.pod, kind, reason, message, container)

    def changed(self) -> None:
        self._stepped.set()
        self._publisher.changed()

    # From the first container to the last.

    async def _live(self) -> None:
        self.changed()
        await self._prepare()
        if self._is_over_already():
            await self._conclude()
            return
        if await self._initialize():
            self._progress = replace(self._progress, initialized=True)
            self.changed()
            await self._run_main()
        elif not self._stopping.is_set():
            self._progress = replace(self._progress, failure=Failure())
        await self._stop_sidecars(float(self.pod.spec.termination_grace_period_seconds))
        await self._conclude()

    async def _conclude(self) -> None:
        self._progress = replace(self._progress, ending=True)
        self.changed()
        await self._publisher.flush()
        if self._end is None:  # over by itself; the object, the folder and the logs stay until it is deleted
            self._end = self._task(self._close())

    async def _prepare(self) -> None:
        while True:
            try:
                self._sandbox.tokens, renewal = await request_tokens(self._host.api, self.pod)
                self._sandbox.lay_out()
                break
            except (MissingSource, ConfigError, EnvoyConfigError) as error:
                self.event("Warning", "FailedMount", str(error), "")
                await self.configuration_changed()
            except (ApiError, httpx.HTTPError) as error:
                self.event("Warning", "FailedMount", f"service account token: {error}", "")
                await asyncio.sleep(_RETRY_SECONDS)
        await self._annotate()
        self._progress = replace(self._progress, sandbox=True)
        if renewal is not None:
            self._in_background(self._renew_tokens(renewal))

    async def _initialize(self) -> bool:
        """Run the init containers in order; whether all have done their part."""
        for container in self.pod.spec.init_containers:
            if container.restart_policy == "Always":
                runner = self._create(container, "Always")
                self._in_background(runner.run())
                await self._until(lambda runner=runner: runner.status.started is True)
            else:
                policy = self.pod.spec.restart_policy
                runner = self._create(container, "OnFailure" if policy == "Always" else policy)
                await runner.run()
                ended = runner.status.state.terminated
                if ended is None or ended.exit_code != 0:
                    return False
            if self._stopping.is_set():
                return False
        return True

    async def _run_main(self) -> None:
        policy = self.pod.spec.restart_policy
        runs: list[Awaitable[None]] = []
        for container in self.pod.spec.containers:
            final = settled(container, policy, self._before)
            if final is None:
                runs.append(self._create(container, policy).run())
            else:
                self._final[container.name] = final
        self.changed()
        await asyncio.gather(*runs)

    def _is_over_already(self) -> bool:
        """Whether the pod, run by an earlier fleet, cannot go on: what was lost may not be started again."""
        policy = self.pod.spec.restart_policy
        found = {item.name: settled(item, policy, self._before) for item in self.pod.spec.containers}
        final = {name: status for name, status in found.items() if status is not None}
        if len(final) < len(found) and not (policy == "Never" and final):
            return False
        self._final = final
        self._progress = replace(self._progress, initialized=True)
        return True

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition() and not self._stopping.is_set():
            self._stepped.clear()
            await first_completed(self._stepped.wait(), self._stopping.wait())

    def _create(self, container: Container, policy: RestartPolicy) -> ContainerRunner:
        rules = Rules(
            restart=policy,
            grace=float(self.pod.spec.termination_grace_period_seconds),
            backoff=self._host.settings.backoff,
        )
        status = first_status(container, self._waiting(), self._before)
        runner = ContainerRunner(container, status, self._sandbox.files(container), rules, self)
        self._runners[container.name] = runner
        return runner

    # Configuration that changes while the pod runs.

    def _lay_out_again(self) -> None:
        if not self._progress.sandbox:
            return
        try:
            self._sandbox.lay_out()
        except (MissingSource, ConfigError, EnvoyConfigError) as error:
            self.event("Warning", "FailedMount", f"{error}; the files stay as they were", "")
            return
        if not self._sandbox.annotations().items() <= self.pod.metadata.annotations.items():
            self._in_background(self._annotate())

    async def _annotate(self) -> None:
        annotations = self._sandbox.annotations()
        if annotations:
            await self._object.annotate(annotations)

    async def _renew_tokens(self, wait: float | None) -> None:
        while wait is not None:
            await asyncio.sleep(wait)
            try:
                self._sandbox.tokens, wait = await request_tokens(self._host.api, self.pod)
                self._lay_out_again()
            except (ApiError, httpx.HTTPError) as error:
                self.event("Warning", "FailedMount", f"service account token: {error}", "")
                wait = _TOKEN_RETRY_SECONDS

    # The end.

    async def _deadline(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds - (datetime.now(UTC) - self._began).total_seconds()))
        message = "the pod was active on its node for longer than activeDeadlineSeconds"
        failure = Failure(reason="DeadlineExceeded", message=message)
        self._progress = replace(self._progress, failure=failure)
        if self._progress.sandbox:
            await self._stop(float(self.pod.spec.termination_grace_period_seconds))
        else:
            self._life.cancel()
            await self._conclude()

    def _delete(self, grace: float) -> None:
        if self._end is None:
            self._end = self._task(self._delete_within(grace))
        elif grace < self._grace:
            for runner in self._runners.values():
                runner.hasten(grace)
        self._grace = min(grace, self._grace)

    async def _delete_within(self, grace: float) -> None:
        if self._progress.sandbox:
            await self._stop(grace)
            await asyncio.wait([self._life])
        self._life.cancel()
        self._progress = replace(self._progress, ending=True)
        if not self._gone:
            self.changed()
            await self._publisher.flush()
            await self._object.remove()
        await self._close()

    async def _stop(self, grace: float) -> None:
        """Stop main and init containers together, then the sidecars, all within `grace` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        self._stopping.set()
        self._progress = replace(self._progress, ending=True)
        sidecars = self._sidecars()
        await asyncio.gather(*(item.stop(grace) for item in self._runners.values() if item not in sidecars))
        await self._stop_sidecars(max(0.0, deadline - loop.time()))

    async def _stop_sidecars(self, grace: float) -> None:
        for runner in reversed(self._sidecars()):
            await runner.stop(grace)

    def _sidecars(self) -> list[ContainerRunner]:
        specs = [item for item in self.pod.spec.init_containers if item.restart_policy == "Always"]
        return [self._runners[item.name] for item in specs if item.name in self._runners]

    async def _close(self) -> None:
        for task in [self._life, *self._tasks]:
            task.cancel()
        await asyncio.gather(self._life, *self._tasks, return_exceptions=True)
        self._sandbox.release()
        self._closed(self)

    def _in_background(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(self._task(coroutine))

    def _task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        task.add_done_callback(self._report)
        return task

    def _report(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("pod %s", self._object.path, exc_info=error)
            self.event("Warning", "FailedSync", f"the fleet failed on this pod: {error}", "")

    # The status.

    def _wire(self) -> dict[str, Any]:
        spec, progress = self.pod.spec, self._progress
        init = [self._status(item) for item in spec.init_containers]
        main = [self._status(item) for item in spec.containers]
        now = datetime.now(UTC).replace(microsecond=0)
        status = pod_status(self.pod, self._sandbox.address, init, main, progress, self._conditions, now)
        self._conditions = status.conditions
        status = status.model_copy(update={"start_time": self._began})
        return wire_status(status, HOST_ADDRESS, progress.failure)

    def _status(self, container: Container) -> ContainerStatus:
        if container.name in self._runners:
            return self._runners[container.name].status
        if container.name in self._final:
            return self._final[container.name]
        return first_status(container, self._waiting(), self._before)

    def _waiting(self) -> str:
        return "PodInitializing" if self.pod.spec.init_containers else "ContainerCreating"


def _described(pod: Pod) -> tuple[dict[str, str], dict[str, str]]:
    return pod.metadata.labels, pod.metadata.annotations
