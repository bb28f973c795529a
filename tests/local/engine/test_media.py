"""Images by address, as vLLM 0.32.0 has them (multimodal/media/connector.py)."""

from __future__ import annotations

from typing import Any

import pytest

from local.engine.chat import ChatRequest
from local.engine.errors import ApiError
from local.engine.messages import Media

TEXT_ALONE = Media("chat", understood=False, domains=("a.example",))
ANY = Media("chat", understood=True)
SOME = Media("chat", understood=True, domains=("a.example", "b.example"))

WRONG_DOMAIN = (
    "The URL must be from one of the allowed domains: \\['a.example', 'b.example'\\]. Input URL domain: "
)


def picture(address: object, kind: str = "image_url") -> dict[str, Any]:
    return {"type": kind, kind: {"url": address}}


@pytest.mark.parametrize(
    ("media", "part", "message"),
    [
        (TEXT_ALONE, picture("http://a.example/x.png"), "^chat is not a multimodal model$"),
        (TEXT_ALONE, picture("data:image/png;base64,aaaa"), "^chat is not a multimodal model$"),
        (SOME, picture("http://c.example/x.png"), f"^{WRONG_DOMAIN}c.example$"),
        (SOME, picture("https://c.example:8080/x.png"), f"^{WRONG_DOMAIN}c.example$"),
        (SOME, picture("HTTPS://C.example/"), f"^{WRONG_DOMAIN}c.example$"),
        (SOME, picture("http://a.example@c.example/"), f"^{WRONG_DOMAIN}c.example$"),
        (SOME, picture("http://x.a.example/"), f"^{WRONG_DOMAIN}x.a.example$"),
        (SOME, picture("http://c.example/x.mp4", "video_url"), f"^{WRONG_DOMAIN}c.example$"),
        (SOME, picture("http://a.example/x.png"), "does not support image_url"),
        (ANY, picture("http://c.example/x.png"), "does not support image_url"),
        (SOME, picture("data:image/png;base64,aaaa"), "does not support image_url"),
        (SOME, picture("ftp://a.example/x"), "^The URL must be either a HTTP, data or file URL.$"),
        (SOME, picture("x.png"), "^The URL must be either a HTTP, data or file URL.$"),
        (SOME, picture("http://[x/"), "^Failed to parse: "),
        (SOME, picture(5), "does not support image_url"),
    ],
)
def test_pictures_are_refused_at_once_with_the_reason(media: Media, part: dict[str, Any], message: str):
    asked = ChatRequest.model_validate({"messages": [{"role": "user", "content": [part]}]})
    with pytest.raises(ApiError, match=message) as refused:
        asked.prompts(media)
    assert refused.value.status == 400


def test_a_local_file_is_an_error_of_the_server():
    part = picture("file:///x.png")
    asked = ChatRequest.model_validate({"messages": [{"role": "user", "content": [part]}]})
    with pytest.raises(ApiError, match="Cannot load local files") as refused:
        asked.prompts(SOME)
    assert refused.value.status == 500
