"""`gateway`: the OpenAI-compatible entrance."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from serving.gateway.served import TEAM_SHARE_OF_MODEL
from stacks.config.effect import NoEffectYet
from stacks.config.section import NAME_RULE, Name, Section

TokenId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{8,64}$",
        description="the `jti` of a token, which `make token` prints: 8 to 64 letters, digits, - and _",
    ),
]


class Tokens(Section, frozen=True):
    """Whose tokens open the gateway."""

    public_keys: str = Field(
        min_length=1,
        description="path of the JWKS file with the public keys of those who may sign tokens, relative to "
        "the folder of Pulumi.yaml; `make key` writes it",
    )
    revoked: tuple[TokenId, ...] = Field(
        default=(),
        strict=False,
        description="tokens that are refused although they have not expired, by their `jti`",
    )


class Rate(Section, frozen=True):
    """How often something may happen."""

    requests_per_second: float = Field(
        gt=0, le=100_000, allow_inf_nan=False, description="requests per second in the long run, above 0"
    )
    burst: int = Field(ge=1, le=1_000_000, description="requests that may come at once, at least 1")


class RateLimit(Rate, frozen=True):
    """What one team may ask for, over all models and the whole gateway.

    Each gateway pod counts by itself and allows its share, 1/replicas: a team whose connections all end at
    one pod gets that share only.
    """

    teams: dict[Name, Rate] = Field(
        default={}, description=f"limits of single teams in place of the common one; {NAME_RULE}"
    )
    share_of_model: float = Field(
        default=TEAM_SHARE_OF_MODEL,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="part of the requests that may wait or run at a model which one team may have at once, "
        "above 0; 1 is no bound of its own",
    )


class Public(Section, frozen=True):
    """An entrance from the internet. There is none without TLS, and none without tokens."""

    hostname: str = Field(
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+[a-z]{2,}$",
        max_length=253,
        description="DNS name that clients use, such as llm.example.com",
        json_schema_extra=NoEffectYet("no DNS record is made, and certificate alone decides what TLS shows"),
    )
    certificate: str = Field(
        min_length=1,
        max_length=253,
        description="name of the certificate in the cluster: locally and on an existing cluster that of "
        "a kubernetes.io/tls Secret in the gateway's namespace",
    )


ORIGIN_RULE = (
    "scheme, host and port (unless it is the scheme's own) of a web page as its browser says them, such as "
    "https://app.example.com: lower case, no path, no slash at the end, no *"
)

Origin = Annotated[
    str,
    Field(
        pattern=r"^https?://([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)*[a-z0-9]([-a-z0-9]*[a-z0-9])?(:[1-9][0-9]{0,4})?$",
        max_length=268,
        description=ORIGIN_RULE,
    ),
]


class Cors(Section, frozen=True):
    """Which web pages may ask the gateway from a browser. A token that a page holds is its users' to read."""

    allowed_origins: tuple[Origin, ...] = Field(
        min_length=1, strict=False, description=f"at least one; each the {ORIGIN_RULE}"
    )


class Gateway(Section, frozen=True):
    """The OpenAI-compatible entrance."""

    replicas: int = Field(ge=1, le=100, description="gateway pods, 1 to 100")
    max_request_mib: int = Field(ge=1, le=100, description="largest request body in MiB, 1 to 100")
    tokens: Tokens
    rate_limit: RateLimit
    public: Public | None = Field(
        default=None,
        description="the entrance from the internet; left out, the gateway is reached from the network only",
    )
    cors: Cors | None = Field(
        default=None, description="web pages that may ask from a browser; left out, there are none"
    )
    backend: Literal["envoy", "inference_pool"] = Field(
        default="envoy",
        description="what chooses among replicas: envoy, or the inference_pool of a Gateway API inference "
        "gateway that the cluster already has",
        json_schema_extra=NoEffectYet(
            "envoy chooses among replicas whatever it says", only=("inference_pool",)
        ),
    )
