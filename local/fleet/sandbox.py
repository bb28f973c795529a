"""A pod's place on this machine: its folder with volumes, its address and its ports."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from local.fleet.claims import folder
from local.fleet.commands import Place, container_launch, first_port, hook_launch, pod_ports
from local.fleet.container import Files
from local.fleet.environment import Sources, environment
from local.fleet.envoy import SUFFIXES, Translator
from local.fleet.host import Host
from local.fleet.images import Program, program_of
from local.fleet.kube import Node
from local.fleet.pod_model import Container, Pod
from local.fleet.ports import address_annotations, annotated_ports
from local.fleet.processes import Launch
from local.fleet.rewrite import Rewriter
from local.fleet.volumes import MissingSource, Tokens, contents, mounts, write_atomically


def container_files(folder: Path, container: str) -> Files:
    """The log and message files of a container of the pod with this folder."""
    return Files(
        log=folder / f"{container}.log",
        previous_log=folder / f"{container}.previous.log",
        message=_scratch(folder, container) / "termination-log",
    )


def _scratch(folder: Path, container: str) -> Path:
    return folder / "containers" / container


class Sandbox:
    """Lays out a pod and translates its containers. After a fleet's restart a pod has its old ports again.

    `pod` is replaced as the API object changes; `tokens` are the service account tokens issued for it.
    """

    def __init__(self, pod: Pod, node: Node, host: Host) -> None:
        self.pod = pod
        self.tokens = Tokens()
        self._node = node
        self._host = host
        self.folder = host.settings.pod_folder(pod)
        self.address = host.addresses.allocate(pod.status.pod_ip)
        self.ports: dict[int, int] = {}
        self._sources = Sources(
            config_map=lambda name: host.config_map(pod.metadata.namespace, name),
            secret=lambda name: host.secret(pod.metadata.namespace, name),
            pod_ip=self.address,
        )

    def lay_out(self) -> None:
        """Write the pod's volumes as they are now, and give every port of the pod a real one.

        Raises:
            MissingSource: a ConfigMap, Secret, key or claim does not exist yet.
            ConfigError: the fleet does not offer a volume's kind.
            EnvoyConfigError: an Envoy configuration cannot work on this machine.
        """
        files = {
            volume.name: contents(self.pod, volume, self._sources, self.tokens)
            for volume in self.pod.spec.volumes
        }
        readers = self._envoy_readers()
        texts = {
            f"{volume}/{name}": data.decode(errors="replace")
            for volume in readers
            for name, data in (files.get(volume) or {}).items()
            if name.endswith(SUFFIXES)
        }
        self._allocate(pod_ports(self.pod, texts))
        for volume in self.pod.spec.volumes:
            found = files[volume.name]
            if found is None:
                self._volume(volume.name).mkdir(parents=True, exist_ok=True)
                continue
            if volume.name in readers:
                found = self._translated(found, readers[volume.name])
            write_atomically(self._volume(volume.name), found, volume.mode())

    def annotations(self) -> dict[str, str]:
        """Where the pod's ports are, for whatever dials the pod."""
        return address_annotations(self.ports, first_port(self.pod))

    def launch(self, container: Container) -> Launch:
        """What to start for a container. Raises ConfigError while its configuration is incomplete."""
        variables = environment(self.pod, container, self._sources)
        place = self._place(container)
        (place.scratch / "tmp").mkdir(parents=True, exist_ok=True)
        return container_launch(self.pod, container, variables, self.rewriter(container), place)

    def hook(self, container: Container, command: list[str]) -> Launch:
        """What to run for a container's exec probe or hook."""
        variables = environment(self.pod, container, self._sources)
        rewriter, place = self.rewriter(container), self._place(container)
        return hook_launch(self.pod, container, command, variables, rewriter, place)

    def files(self, container: Container) -> Files:
        """A container's log and message files."""
        return container_files(self.folder, container.name)

    def rewriter(self, container: Container) -> Rewriter:
        """The container's paths and ports in this machine's terms."""
        folders = {volume.name: self._volume(volume.name) for volume in self.pod.spec.volumes}
        paths = mounts(container, folders)
        paths[container.termination_message_path] = self.files(container).message
        return Rewriter(paths=paths, ports=self.ports)

    def release(self) -> None:
        """Give the address and the ports back."""
        self._host.addresses.release(self.address)
        self._host.ports.release(self.ports.values())

    def remove(self) -> None:
        """Remove the pod's folder, logs included, as a kubelet does once the pod is gone."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _allocate(self, wanted: list[int]) -> None:
        before = annotated_ports(self.pod.metadata.annotations)
        for port in wanted:
            if port not in self.ports:
                known = before.get(port)
                ports = self._host.ports
                self.ports[port] = ports.allocate() if known is None else ports.reclaim(known)

    def _envoy_readers(self) -> dict[str, Container]:
        """The volumes that an Envoy of the pod mounts, each with that container."""
        envoys = [item for item in self.pod.spec.containers if program_of(item.image) is Program.ENVOY]
        return {mount.name: item for item in envoys for mount in item.volume_mounts}

    def _translated(self, files: Mapping[str, bytes], container: Container) -> dict[str, bytes]:
        translator = Translator(
            self.rewriter(container), self.pod.metadata.namespace, self._host.endpoints.file
        )
        return {
            name: translator.text(data.decode(errors="surrogateescape")).encode(errors="surrogateescape")
            if name.endswith(SUFFIXES)
            else data
            for name, data in files.items()
        }

    def _place(self, container: Container) -> Place:
        return Place(
            state=self._host.settings.state,
            scratch=self._scratch(container),
            names_file=self._host.endpoints.names_file,
            node=self._node,
            cold_start_scale=self._host.settings.cold_start_scale,
        )

    def _scratch(self, container: Container) -> Path:
        return _scratch(self.folder, container.name)

    def _volume(self, name: str) -> Path:
        for volume in self.pod.spec.volumes:
            if volume.name == name and volume.persistent_volume_claim is not None:
                return self._claimed(volume.persistent_volume_claim.claim_name)
        return self.folder / "volumes" / name

    def _claimed(self, name: str) -> Path:
        claim = self._host.claim(self.pod.metadata.namespace, name)
        if claim is None:
            raise MissingSource(f"persistentvolumeclaim {name!r} not found")
        return folder(self._host.settings.claims, claim)
