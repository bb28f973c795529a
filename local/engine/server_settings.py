"""What the flags mean for the server in front of the engine."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local.engine.adapters import Adapters, adapter_settings
from local.engine.errors import unknown_model
from local.engine.machine import Machine
from local.engine.messages import Media
from local.engine.parsers import Parsers, parsers
from local.engine.refusal import Refused
from local.engine.settings import at_least, given, model_argument
from sizing.models.models import Model

BUCKET_FAMILIES = frozenset(
    {
        "request_latency", "time_to_first_token", "inter_token_latency", "iteration_tokens",
        "request_params_n", "request_num_preemptions", "request_tokens", "kv_cache_residency",
    }
)  # fmt: skip
"""Keys of --custom-histogram-buckets."""


@dataclass(frozen=True)
class Origins:
    """Who may ask from a browser: --allowed-origins and its kin. vLLM 0.32.0 allows none by default."""

    allowed: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("*",)
    headers: tuple[str, ...] = ("*",)
    credentials: bool = False


@dataclass(frozen=True)
class Server:
    """What is in front: names, adapters, address, keys, bounds of the queue, and how much is said.

    stream_interval: tokens per event of a streamed reply, at least. max_choices: largest `n`.
    trusts_templates: whether a request may bring its own chat template.
    """

    served_names: tuple[str, ...]
    adapters: Adapters | None
    host: str
    port: int
    api_keys: tuple[str, ...]
    shutdown_timeout: float
    max_queued_requests: int | None
    max_queued_tokens: int | None
    max_choices: int
    max_prompts: int
    stream_interval: int
    histogram_buckets: Mapping[str, Sequence[float]]
    statistics: bool
    parsers: Parsers
    media: Media
    trusts_templates: bool
    documented: bool
    origins: Origins
    prompt_details: bool
    usage_always: bool
    access_log: bool
    quiet_paths: frozenset[str]
    log_level: str

    @property
    def adapter_names(self) -> frozenset[str]:
        return frozenset() if self.adapters is None else self.adapters.names

    def check_model(self, name: str | None) -> str:
        """The served name or adapter that answers; no name means the first. Raises ApiError on an unknown
        one."""
        if name and name not in self.served_names and name not in self.adapter_names:
            raise unknown_model(name, self.served_names)
        return name or self.served_names[0]


def server_settings(flags: argparse.Namespace, machine: Machine, served: Model) -> Server:
    """The server that these flags start in front of this model. Raises Refused on what vLLM refuses."""
    host, port = machine.listen or (given(flags.host, "0.0.0.0"), given(flags.port, 8000))
    served_names = tuple(given(flags.served_model_name, [model_argument(flags)]))
    return Server(
        served_names=served_names,
        adapters=adapter_settings(flags, served_names),
        host=host,
        port=port,
        api_keys=tuple(given(flags.api_key, [])),
        shutdown_timeout=at_least("shutdown_timeout", 0, flags.shutdown_timeout, 0),
        max_queued_requests=optional_bound("max_num_queued_reqs", flags.max_num_queued_reqs),
        max_queued_tokens=optional_bound("max_num_queued_tokens", flags.max_num_queued_tokens),
        max_choices=machine.max_choices,
        max_prompts=machine.max_prompts,
        stream_interval=at_least("stream_interval", 1, flags.stream_interval, 1),
        histogram_buckets=custom_buckets(flags.custom_histogram_buckets),
        statistics=flags.disable_log_stats is not True,
        parsers=parsers(flags, served),
        media=Media(served_names[0], _takes_images(served), tuple(given(flags.allowed_media_domains, ()))),
        documented=flags.disable_fastapi_docs is not True,
        origins=origins(flags),
        trusts_templates=flags.trust_request_chat_template is True,
        prompt_details=flags.enable_prompt_tokens_details is True,
        usage_always=flags.enable_force_include_usage is True,
        access_log=flags.disable_uvicorn_access_log is not True,
        quiet_paths=frozenset(given(flags.disable_access_log_for_endpoints, "").split(",")) - {""},
        log_level=given(flags.uvicorn_log_level, "info"),
    )


def origins(flags: argparse.Namespace) -> Origins:
    """Raises Refused on what is not a list of names."""
    default = Origins()
    return Origins(
        allowed=_names("allowed_origins", flags.allowed_origins, default.allowed),
        methods=_names("allowed_methods", flags.allowed_methods, default.methods),
        headers=_names("allowed_headers", flags.allowed_headers, default.headers),
        credentials=flags.allow_credentials is True,
    )


def _names(flag: str, value: object, default: tuple[str, ...]) -> tuple[str, ...]:
    if value is None:
        return default
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise Refused(f"{flag} takes a JSON list of strings.")
    return tuple(value)


def custom_buckets(value: object) -> Mapping[str, Sequence[float]]:
    """--custom-histogram-buckets: {family: ascending positive bounds}."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not set(value) <= BUCKET_FAMILIES:
        raise Refused(
            f"custom_histogram_buckets takes a JSON object with keys among {sorted(BUCKET_FAMILIES)}."
        )
    for family, bounds in value.items():
        numbers = isinstance(bounds, list) and all(isinstance(bound, int | float) for bound in bounds)
        if not numbers or not bounds or sorted(set(bounds)) != bounds or bounds[0] <= 0:
            raise Refused(f"custom_histogram_buckets[{family!r}]: bounds must be ascending positive numbers.")
    return value


def optional_bound(name: str, value: int | None) -> int | None:
    return None if value is None else at_least(name, 0, value, 0)


def _takes_images(model: Model) -> bool:
    return any(weight.component == "vision" for weight in model.architecture.outer)
