"""Conversations of every form, and content that a text model does not take."""

from __future__ import annotations

from local.engine.comparison.asked.bodies import CHAT, HI, SERVED_NAME, chat
from local.engine.comparison.exchanges import Compared, Exchange

INLINE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}}
BY_ADDRESS = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/picture.png"}}
BY_SHORT_ADDRESS = {"type": "image_url", "image_url": "http://127.0.0.1:9/picture.png"}
SOUND = {"type": "input_audio", "input_audio": {"data": "aaaa", "format": "wav"}}
FILM = {"type": "video_url", "video_url": {"url": "http://127.0.0.1:9/film.mp4"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def _user(content: object) -> dict[str, object]:
    return chat(messages=[{"role": "user", "content": content}])


def _after_hi(*messages: object, **fields: object) -> dict[str, object]:
    return chat(messages=[*HI, *messages], **fields)


MESSAGES = (
    Exchange("messages of the wrong type", CHAT, chat(messages="x"), compared=Compared.KIND),
    Exchange("messages null", CHAT, chat(messages=None)),
    Exchange("no messages", CHAT, chat(messages=[])),
    Exchange("messages missing", CHAT, {"model": SERVED_NAME}),
    Exchange("a message of the wrong type", CHAT, chat(messages=["x"]), compared=Compared.KIND),
    Exchange("a message without a role", CHAT, chat(messages=[{"content": "x"}]), compared=Compared.KIND),
    Exchange("a message with an unknown role", CHAT, chat(messages=[{"role": "robot", "content": "x"}])),
    Exchange("a message without content", CHAT, chat(messages=[{"role": "user"}])),
    Exchange("content null", CHAT, _user(None), compared=Compared.KIND),
    Exchange("content an empty text", CHAT, _user("")),
    Exchange("content a number", CHAT, _user(5), compared=Compared.KIND),
    Exchange("content of no parts", CHAT, _user([])),
    Exchange(
        "content of two texts", CHAT, _user([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
    ),
    Exchange("content of plain texts in a list", CHAT, _user(["a", "b"]), compared=Compared.KIND),
    Exchange(
        "content of an unknown type", CHAT, _user([{"type": "smell", "smell": "a"}]), compared=Compared.KIND
    ),
    Exchange("content without a type", CHAT, _user([{"text": "a"}]), compared=Compared.KIND),
    Exchange("content text without a text", CHAT, _user([{"type": "text"}]), compared=Compared.KIND),
    Exchange("a picture", CHAT, _user([INLINE])),
    Exchange("a picture by address", CHAT, _user([{"type": "text", "text": "a"}, BY_ADDRESS])),
    Exchange("a picture by address streamed", CHAT, {**_user([BY_ADDRESS]), "stream": True}),
    Exchange("a picture by short address", CHAT, _user([BY_SHORT_ADDRESS]), compared=Compared.KIND),
    Exchange("a sound", CHAT, _user([SOUND])),
    Exchange("a film by address", CHAT, _user([FILM])),
    Exchange("a system message alone", CHAT, chat(messages=[{"role": "system", "content": "x"}])),
    Exchange("a developer message", CHAT, chat(messages=[{"role": "developer", "content": "x"}, *HI])),
    Exchange("a name", CHAT, chat(messages=[{"role": "user", "content": "x", "name": "n"}])),
    Exchange("an answer before", CHAT, _after_hi({"role": "assistant", "content": "x"}, *HI)),
    Exchange(
        "an answer with its thoughts",
        CHAT,
        _after_hi({"role": "assistant", "content": "x", "reasoning": "y"}),
    ),
    Exchange(
        "a call of a tool and its result",
        CHAT,
        _after_hi(
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "x"},
        ),
    ),
    Exchange(
        "a call whose arguments are not JSON",
        CHAT,
        _after_hi(
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{"}}],
            }
        ),
    ),
    Exchange(
        "an empty list of calls", CHAT, _after_hi({"role": "assistant", "content": "x", "tool_calls": []})
    ),
    Exchange("a result without its call", CHAT, _after_hi({"role": "tool", "content": "x"})),
    Exchange(
        "a continued answer",
        CHAT,
        _after_hi(
            {"role": "assistant", "content": "x"}, continue_final_message=True, add_generation_prompt=False
        ),
    ),
    Exchange(
        "a continued answer with a new one",
        CHAT,
        _after_hi(
            {"role": "assistant", "content": "x"}, continue_final_message=True, add_generation_prompt=True
        ),
    ),
    Exchange(
        "a continued answer and no more said",
        CHAT,
        _after_hi({"role": "assistant", "content": "x"}, continue_final_message=True),
    ),
    Exchange(
        "an answer with the last message", CHAT, _after_hi({"role": "assistant", "content": "x"}, echo=True)
    ),
    Exchange("no new answer", CHAT, chat(add_generation_prompt=False)),
    Exchange("many wrong messages", CHAT, chat(messages=[5] * 12), compared=Compared.KIND),
)
