"""HTTP itself: methods, paths, headers, and bodies that are not JSON."""

from __future__ import annotations

import gzip
import json

from local.engine.comparison.asked.bodies import CHAT, chat
from local.engine.comparison.exchanges import Compared, Exchange

JSON = "application/json"
PREFLIGHT = {"origin": "http://localhost", "access-control-request-method": "POST"}

METHODS = (
    Exchange("unknown path", "/nope", method="GET"),
    Exchange("unknown path by POST", "/nope", {}),
    Exchange("unknown path under /v1", "/v1/nope", method="GET"),
    Exchange("the root", "/", method="GET"),
    Exchange("models with a slash at the end", "/v1/models/", method="GET"),
    Exchange("one model", "/v1/models/tiny", method="GET"),
    Exchange("two slashes", "//v1/models", method="GET"),
    Exchange("models with a query", "/v1/models?a=b", method="GET"),
    Exchange("health by HEAD", "/health", method="HEAD"),
    Exchange("models by HEAD", "/v1/models", method="HEAD"),
    Exchange("metrics by HEAD", "/metrics", method="HEAD"),
    Exchange("unknown path by HEAD", "/nope", method="HEAD"),
    Exchange("health by POST", "/health", {}),
    Exchange("ping by POST", "/ping", {}),
    Exchange("models by POST", "/v1/models", {}),
    Exchange("models by DELETE", "/v1/models", method="DELETE"),
    Exchange("wrong method", CHAT, method="GET"),
    Exchange("chat by PUT", CHAT, chat(), method="PUT"),
    Exchange("chat by OPTIONS", CHAT, method="OPTIONS"),
    Exchange("health by OPTIONS", "/health", method="OPTIONS"),
    Exchange("unknown path by OPTIONS", "/nope", method="OPTIONS"),
    Exchange("preflight", CHAT, method="OPTIONS", headers=PREFLIGHT),
    Exchange(
        "preflight with headers",
        CHAT,
        method="OPTIONS",
        headers={**PREFLIGHT, "access-control-request-headers": "authorization,content-type"},
    ),
    Exchange("preflight of an unknown path", "/nope", method="OPTIONS", headers=PREFLIGHT),
    Exchange(
        "chat from another origin", CHAT, chat(), headers={"content-type": JSON, "origin": "http://a.b"}
    ),
    Exchange("models from another origin", "/v1/models", method="GET", headers={"origin": "http://a.b"}),
    Exchange("wrong method from another origin", CHAT, method="GET", headers={"origin": "http://a.b"}),
    Exchange("documentation", "/docs", method="GET", compared=Compared.HEAD),
    Exchange("description of the API", "/openapi.json", method="GET", compared=Compared.HEAD),
    Exchange("other documentation", "/redoc", method="GET", compared=Compared.HEAD),
    Exchange("metrics", "/metrics", method="GET", compared=Compared.HEAD),
    Exchange(
        "metrics as OpenMetrics",
        "/metrics",
        method="GET",
        headers={"accept": "application/openmetrics-text; version=1.0.0"},
        compared=Compared.HEAD,
    ),
)

BODIES = (
    Exchange("not an object", CHAT, []),
    Exchange("a text", CHAT, '"text"'),
    Exchange("null", CHAT, "null"),
    Exchange("not JSON", CHAT, "{bad json"),
    Exchange("JSON that ends early", CHAT, '{"model": "tiny", "messages": ['),
    Exchange("JSON with something behind it", CHAT, json.dumps(chat()) + "x"),
    Exchange("an empty body", CHAT, ""),
    Exchange("a number that is none", CHAT, json.dumps(chat(temperature=float("nan")))),
    Exchange("an infinite number", CHAT, json.dumps(chat(temperature=float("inf")))),
    Exchange("not UTF-8", CHAT, b'{"model": "tiny", "messages": [{"role": "user", "content": "\xff"}]}'),
    Exchange("a byte order mark", CHAT, b"\xef\xbb\xbf" + json.dumps(chat()).encode()),
    Exchange("a lone surrogate", CHAT, json.dumps(chat(messages=[{"role": "user", "content": "\ud800"}]))),
    Exchange("a key twice", CHAT, '{"model": "nope", ' + json.dumps(chat())[1:]),
    Exchange(
        "content type with a character set", CHAT, chat(), headers={"content-type": f"{JSON}; charset=utf-8"}
    ),
    Exchange("content type in capitals", CHAT, chat(), headers={"content-type": "Application/JSON"}),
    Exchange(
        "content type of a form", CHAT, chat(), headers={"content-type": "application/x-www-form-urlencoded"}
    ),
    Exchange("content type of text", CHAT, chat(), headers={"content-type": "text/plain"}),
    Exchange(
        "content type of a patch", CHAT, chat(), headers={"content-type": "application/json-patch+json"}
    ),
    Exchange("no content type", CHAT, chat(), headers={}),
    Exchange(
        "a compressed body",
        CHAT,
        gzip.compress(json.dumps(chat()).encode(), mtime=0),
        headers={"content-type": JSON, "content-encoding": "gzip"},
    ),
    Exchange("a request id", CHAT, chat(), headers={"content-type": JSON, "x-request-id": "mine"}),
)

HTTP_DETAILS = (*METHODS, *BODIES)
