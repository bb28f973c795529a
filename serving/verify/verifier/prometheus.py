"""Prometheus, as far as it is asked: values of now."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from dataclasses import dataclass

from .failed import Failed
from .http_client import opener
from .settings import Model

QUERY_SECONDS = 10


@dataclass(frozen=True)
class Prometheus:
    """address: without a path."""

    address: str

    def query(self, expression: str) -> list[float]:
        """Value of each series that the expression gives now. Raises Failed if Prometheus does not answer."""
        parameters = urllib.parse.urlencode({"query": expression})
        try:
            with opener.open(f"{self.address}/api/v1/query?{parameters}", timeout=QUERY_SECONDS) as reply:
                body = reply.read()
            return [float(row["value"][1]) for row in json.loads(body)["data"]["result"]]
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
            raise Failed(
                f"Prometheus at {self.address} does not answer ({type(error).__name__}: {error})"
            ) from None

    def asleep(self, model: Model) -> bool:
        """Whether the model has no replica on purpose."""
        return model.minimum == 0 and self.replicas(model) == [0]

    def replicas(self, model: Model) -> list[float]:
        """What the model's Deployment asks for; nothing if kube-state-metrics does not know it."""
        deployment = f'namespace="{model.service.namespace}",deployment="{model.service.name}"'
        return self.query(f"kube_deployment_spec_replicas{{{deployment}}}")
