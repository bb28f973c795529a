"""Many bodies, fast: JSON objects made up at random, most of them changed in a few bytes.

hypothesis makes about a thousand in a second and finds small examples; this makes twenty thousand, for the
long runs of `make fuzz`.
"""

from __future__ import annotations

import json
import random

KEYS = (
    "model",
    "prompt_cache_key",
    "n",
    "prompt",
    "messages",
    "mode",
    "Model",
    "mod\u0435l",
    "model\u0000",
    "",
    "x",
)
NAMES = (
    "chat",
    "other",
    "Chat",
    "chat ",
    "org/chat",
    "ch\u0430t",
    "caf\u00e9",
    "\U0001f600",
    'a"b',
    "a\\b",
    "%63hat",
)
NUMBERS = (
    "0", "-0", "1", "-1", "12345678901234567890", "0.1", "1e5", "1E+5", "1e-5", "1e308", "1.7e308", "1e309",
    "0e9999", "0.000e99999", "1e-9999", "00", "01", "1.", ".5", "+1", "1e", "1e+", "-", "NaN", "Infinity",
)  # fmt: skip
LITERALS = ("true", "false", "null", "True", "nul", "[]", "{}", "[1,]", "[[[[[]]]]]", '{"model":"other"}')
SPACES = ("", "", "", " ", "\n", "\t \r", "\u00a0", "\x0b")
PIECES = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\x00", b"\x1f", b"\x7f", b"\x80", b"\xc0\xaf",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800", b"\\udc00", b"\\u00",
    b"\\x41", b"\\/", b"/**/", b'"model":"other"', b',"model":"chat"', b'\\u006dodel', b"e999", b"0" * 40,
)  # fmt: skip


def _string(choose: random.Random, text: str) -> str:
    """The string as JSON, some letters escaped."""
    if choose.random() < 0.7:
        return json.dumps(text, ensure_ascii=choose.random() < 0.5)
    units = text.encode("utf-16-be")
    return '"' + "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)) + '"'


def _value(choose: random.Random, depth: int) -> str:
    kind = choose.randrange(8 if depth < 4 else 5)
    if kind < 2:
        return _string(choose, choose.choice(NAMES))
    if kind == 2:
        return choose.choice(NUMBERS[:12] if choose.random() < 0.8 else NUMBERS)
    if kind < 5:
        return choose.choice(LITERALS[:3] if choose.random() < 0.7 else LITERALS)
    if kind == 5:
        return "[" + ",".join(_value(choose, depth + 1) for _ in range(choose.randrange(4))) + "]"
    return _object(choose, depth + 1)


def _object(choose: random.Random, depth: int) -> str:
    members: list[str] = []
    for _ in range(choose.randrange(5)):
        space = choose.choice(SPACES[:6] if choose.random() < 0.95 else SPACES)
        key = _string(choose, choose.choice(KEYS))
        members.append(f"{space}{key}{space}:{space}{_value(choose, depth)}{space}")
    return "{" + ",".join(members) + "}"


def body(choose: random.Random) -> bytes:
    """One body: an object of which a third has `model`, in half of the cases with one to three changes."""
    text = _object(choose, 0)
    if choose.random() < 0.5:
        model = f'"model":{_string(choose, choose.choice(NAMES))}'
        text = "{" + model + ("," + text[1:] if text != "{}" else "}")
    found = text.encode("utf-8", "surrogatepass")
    if choose.random() < 0.5:
        return found
    for _ in range(choose.randint(1, 3)):
        at = choose.randint(0, len(found))
        change = choose.randrange(4)
        if change == 0:
            found = found[:at] + found[at + 1 :]
        elif change == 1:
            found = found[:at] + bytes([choose.randrange(256)]) + found[at + 1 :]
        elif change == 2:
            found = found[:at] + choose.choice(PIECES) + found[at:]
        else:
            found = found[:at]
    return found
