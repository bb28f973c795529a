"""A gateway's Envoy configuration in this machine's terms: pure functions on the YAML documents.

The real Envoy runs with the configuration that the cluster would give it. Three things in it cannot hold on
one machine and are translated, everything else stays as written: listeners and the admin interface get the
pod's real loopback ports, mounted files their real paths, and clusters that find a Service by DNS read the
Service's real endpoints from a file that the fleet keeps.

Field names are expected in snake case, as Envoy's documentation writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.fleet.api import is_loopback
from local.fleet.discovery import Target, parse_service_name
from local.fleet.rewrite import Rewriter

_DNS_TYPES = ("STRICT_DNS", "LOGICAL_DNS")
_DNS_FIELDS = (
    "load_assignment",
    "type",
    "dns_refresh_rate",
    "dns_failure_refresh_rate",
    "dns_jitter",
    "dns_lookup_family",
    "respect_dns_ttl",
    "typed_dns_resolver_config",
)
SUFFIXES = (".yaml", ".yml", ".json")
"""Files of a ConfigMap that may be Envoy configuration."""


class EnvoyConfigError(ValueError):
    """The configuration asks for something that this machine must not or cannot do."""


@dataclass(frozen=True)
class Translator:
    """What a pod's Envoy documents are translated with.

    Attributes:
        rewriter: the container's mounts and the pod's ports.
        namespace: the pod's namespace, where a Service's short name is looked up.
        endpoints_file: the file that the fleet keeps with the endpoints of a Service's port.
    """

    rewriter: Rewriter
    namespace: str
    endpoints_file: Callable[[Target], Path]

    def text(self, text: str) -> str:
        """A configuration file's text. What is not a YAML mapping is no Envoy configuration and stays.

        Raises:
            EnvoyConfigError: a cluster dials another machine, or the document has not Envoy's form.
        """
        document = _load(text)
        if document is None:
            return text
        try:
            return yaml.safe_dump(self.document(document), sort_keys=False)
        except (KeyError, TypeError, AttributeError) as error:
            raise EnvoyConfigError(f"not written as Envoy's documentation has it: {error!r}") from error

    def document(self, document: dict[str, Any]) -> dict[str, Any]:
        """A parsed document: a bootstrap, or a discovery response with listeners or clusters."""
        return self._mapping(document)

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._mapping(value)
        if isinstance(value, list):
            return [self._value(item) for item in value]
        return self.rewriter.path(value) if isinstance(value, str) else value

    def _mapping(self, node: dict[str, Any]) -> dict[str, Any]:
        if _is_cluster(node):
            return self._cluster(node)
        found = {name: self._value(value) for name, value in node.items()}
        if _is_listener(node):
            found["address"] = self._bind(node["address"])
            if "additional_addresses" in node:
                found["additional_addresses"] = [
                    {**item, "address": self._bind(item["address"])} for item in node["additional_addresses"]
                ]
        if "admin" in node and "address" in node["admin"]:
            found["admin"]["address"] = self._bind(node["admin"]["address"])
        return found

    def _bind(self, address: dict[str, Any]) -> dict[str, Any]:
        if "socket_address" not in address:
            return address
        port = address["socket_address"]["port_value"]
        return _socket_address(self.rewriter.ports.get(port, port))

    def _cluster(self, node: dict[str, Any]) -> dict[str, Any]:
        name = node.get("name", "?")
        endpoints = list(_endpoints(node))
        local = [address for address in endpoints if is_loopback(address["address"])]
        if len(local) == len(endpoints):
            return self._local_cluster(node)
        if node.get("type") not in _DNS_TYPES:
            raise EnvoyConfigError(
                f"cluster {name!r} dials {endpoints[0]['address']!r}: locally a cluster reaches "
                "127.0.0.1 or, with type STRICT_DNS or LOGICAL_DNS, a Service by name"
            )
        if len(endpoints) != 1:
            raise EnvoyConfigError(
                f"cluster {name!r} names {len(endpoints)} hosts: locally one Service per cluster"
            )
        host, port = endpoints[0]["address"], endpoints[0]["port_value"]
        service = parse_service_name(host, self.namespace)
        if service is None:
            raise EnvoyConfigError(
                f"cluster {name!r} dials {host!r}, which is outside the cluster: locally only Services answer"
            )
        file = self.endpoints_file(Target(*service, port))
        found = {key: self._value(value) for key, value in node.items() if key not in _DNS_FIELDS}
        return {**found, **eds_by_file(file, Target(*service, port))}

    def _local_cluster(self, node: dict[str, Any]) -> dict[str, Any]:
        found = {key: self._value(value) for key, value in node.items()}
        for address in _endpoints(found):
            port = address["port_value"]
            address.update(address="127.0.0.1", port_value=self.rewriter.ports.get(port, port))
        return found


def listening_ports(text: str) -> set[int]:
    """The ports that a configuration file makes Envoy listen on, admin interface included."""
    document = _load(text)
    try:
        return set() if document is None else set(_listening(document))
    except (KeyError, TypeError, AttributeError):
        return set()  # the translation of the same text says what is wrong


def eds_by_file(file: Path, target: Target) -> dict[str, Any]:
    """The fields of a cluster that reads the endpoints of `target` from `file`."""
    source = {"path": str(file), "watched_directory": {"path": str(file.parent)}}
    return {
        "type": "EDS",
        "eds_cluster_config": {
            "service_name": target.label(),
            "eds_config": {"resource_api_version": "V3", "path_config_source": source},
        },
    }


def load_assignment(target: Target, addresses: list[tuple[str, int]]) -> dict[str, Any]:
    """The discovery response with the endpoints of `target`."""
    endpoints = [
        # The gateway names the Service in its answers by this.
        {"endpoint": {"address": _socket_address(port, host), "hostname": target.service}}
        for host, port in addresses
    ]
    return {
        "resources": [
            {
                "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
                "cluster_name": target.label(),
                "endpoints": [{"lb_endpoints": endpoints}],
            }
        ]
    }


def _load(text: str) -> dict[str, Any] | None:
    try:
        document = yaml.load(text, Loader=_LOADER)
    except yaml.YAMLError:
        return None
    return document if isinstance(document, dict) else None


# The C loader is ten times faster where libyaml is there.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _socket_address(port: int, host: str = "127.0.0.1") -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _is_cluster(node: Mapping[str, Any]) -> bool:
    # A cluster is what has endpoints of its own or says how to find them, and a name.
    return "name" in node and ("load_assignment" in node or "eds_cluster_config" in node)


def _is_listener(node: Mapping[str, Any]) -> bool:
    return "address" in node and ("filter_chains" in node or "default_filter_chain" in node)


def _endpoints(cluster: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for group in cluster.get("load_assignment", {}).get("endpoints", []):
        for entry in group.get("lb_endpoints", []):
            address = entry.get("endpoint", {}).get("address", {}).get("socket_address")
            if address is not None:
                yield address


def _listening(node: Any) -> Iterator[int]:
    if isinstance(node, list):
        for item in node:
            yield from _listening(item)
    if not isinstance(node, dict):
        return
    bound = [node] if _is_listener(node) else []
    bound += node.get("additional_addresses", []) if bound else []
    bound += [node["admin"]] if "admin" in node else []
    for item in bound:
        socket_address = item.get("address", {}).get("socket_address")
        if socket_address is not None:
            yield socket_address["port_value"]
    for value in node.values():
        yield from _listening(value)
