"""What a byte of a body costs does not depend on what the body holds: CPU time of the real Envoy, by form."""

from __future__ import annotations

import http.client
import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.serving.gateway.gateway_process import JSON, Gateway, memory_mib, running

MIB = 2**20
LIMIT = 17 * MIB
LENGTH = 2 * MIB

MOST = 15
"""Times the CPU time per byte of plain text. Keys that nearly say `model` take 9 here, all else at most 5;
before numbers were judged by counting, some took 3,000."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="reads CPU time of Linux")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    # Requests ask for a path that the model does not answer: no back end is needed.
    with running(tmp_path_factory.mktemp("gateway"), {"chat": [9]}, LIMIT, memory_mib=8192) as started:
        yield started


def answer(gateway: Gateway, body: bytes) -> Mapping[str, str]:
    """The error: code wrong_path means that the body has been read and found right."""
    connection = http.client.HTTPConnection(gateway.clients, timeout=60)
    try:
        connection.request("POST", "/v1/embeddings", body, JSON)
        return json.loads(connection.getresponse().read())["error"]
    finally:
        connection.close()


def cpu_seconds(gateway: Gateway) -> float:
    tasks = Path(f"/proc/{gateway.process.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


def cost(gateway: Gateway, text: str) -> float:
    """CPU seconds for each byte of the better of two tries."""
    body = text.encode()

    def once() -> float:
        before = cpu_seconds(gateway)
        assert answer(gateway, body)["code"] == "wrong_path", text[:200]
        return cpu_seconds(gateway) - before

    return min(once(), once()) / len(body)


def filled(*items: str, length: int = LENGTH) -> str:
    """These in turn, each with a comma."""
    text = "".join(f"{item}," for item in items)
    return text * (length // len(text.encode()) + 1)


def counted(form: Callable[[int], str]) -> str:
    """Items that are all different."""
    parts, length = list[str](), 0
    for number in itertools.count():
        if length > LENGTH:
            return "".join(parts)
        parts.append(form(number) + ",")
        length += len(parts[-1])
    raise AssertionError


def member(value: str) -> str:
    return f'{{"model": "chat", "x": {value}}}'


def in_list(items: str) -> str:
    return member(f"[{items}0]")


def in_string(piece: str) -> str:
    return member(f'"{piece * (LENGTH // len(piece.encode()))}"')


def members(pairs: str) -> str:
    return f'{{"model": "chat", {pairs} "x": 0}}'


WHOLE = ("0", "7", "12", "12345678901234567", "9" * 300)
FRACTION = ("", ".5", ".25000000000000001", "." + "0" * 200 + "1", "." + "3" * 300)
EXPONENT = ("", "e1", "E+10", "e0", "e-0", "e307", "e-307", "e-330", "e-9999", "e000000000012", "e+005")
NUMBERS = [
    number
    for sign, whole, fraction, exponent in itertools.product(("", "-"), WHOLE, FRACTION, EXPONENT)
    if Decimal(number := sign + whole + fraction + exponent).adjusted() <= 307
]

STRINGS = {
    "plain": "x", "quotes": '\\"', "backslashes": "\\\\", "newlines": "\\n", "escaped letters": "\\u0061",
    "pairs": "\\ud83d\\ude00", "two bytes": "é", "three bytes": "€", "four bytes": "\U0001f600",
    "letter and escape": "a\\n", "letter and two bytes": "aé",
    "all": 'a\\n\\u00e9é€\\ud83d\\ude00\U0001f600\\"bcd',
}  # fmt: skip
VALUES = (
    "true", "false", "null", '""', "{}", "[]", '"a"', '{"a":1}', "[[[]]]", "[{}]", "1 ,\n\t2",
    '{"model":[1,"x"]}',
    "[" * 400 + "]" * 400, '{"a":[' * 200 + "]}" * 200, '{"a":{"b":' * 200 + "1" + "}}" * 200,
)  # fmt: skip
KEYS = (
    '"a"', '""', '"mode"', '"model "', '"mode\\u006d"', '"m\\u006f\\u0064"', '"\\u006d\\u006f"',
    '"prompt_cache_key"',
    '"prompt_cache_kez"', '"' + "".join(f"\\u{ord(letter):04x}" for letter in "prompt_cache_key") + '"',
    '"' + "\\u0061" * 3000 + '"', '"\\n"', '"é"',
)  # fmt: skip


def forms() -> Iterator[str]:
    yield from (in_list(filled(value)) for value in VALUES)
    yield from (in_string(piece) for piece in STRINGS.values())
    yield from (members(filled(f"{key}:1")) for key in KEYS)
    yield members(filled('"prompt_cache_key":"' + "\\u0061" * 1000 + '"'))
    yield members(filled(*(f"{key}:1" for key in KEYS)))
    yield members(counted(lambda number: f'"{number:x}":1'))
    yield members(counted(lambda number: f'"m\\u006f{number:x}":1'))
    yield in_list(counted(lambda number: f'{{"{number:x}":{number}}}'))
    yield in_list(counted(lambda number: f"{number}e5"))
    yield member(" " * LENGTH + "0")
    for seed in range(5):
        choose = random.Random(seed)
        some = choose.sample((*VALUES, *choose.sample(NUMBERS, 10), '"aé\\n"'), 12)
        yield in_list(filled(*choose.choices(some, k=500)))


def test_no_form_costs_many_times_what_plain_text_does(gateway: Gateway):
    plain = cost(gateway, in_string("x"))
    slow = {body[:60]: times for body in forms() if (times := cost(gateway, body) / plain) > MOST}
    assert not slow
    # What has been read before does not make the script slower either.
    assert cost(gateway, in_string("x")) < 2 * plain


def test_no_number_costs_many_times_what_plain_text_does(gateway: Gateway):
    plain = cost(gateway, in_string("x"))
    slow = {
        number: times
        for number in NUMBERS
        if (times := cost(gateway, in_list(filled(number, length=LENGTH // 8))) / plain) > MOST
    }
    assert not slow


@pytest.mark.parametrize(
    "pairs",
    [
        counted(lambda number: f'"{number:x}":1'),
        counted(lambda number: f'"m\\u006f{number:x}":1'),
        f'"y":[{counted(str)}0],',
        f'"y":[{counted(lambda number: f"{number}e5")}0],',
        f'"y":"{"x" * LENGTH}",',
    ],
    ids=["keys", "escaped keys", "numbers", "exponents", "plain"],
)
def test_a_body_takes_the_same_few_times_its_length_whatever_it_holds(tmp_path: Path, pairs: str):
    body = members(pairs * 7).encode()
    with running(tmp_path, {"chat": [9]}, LIMIT, memory_mib=8192) as gateway:
        before = memory_mib(gateway, "VmHWM")
        assert answer(gateway, body)["code"] == "wrong_path"
        # 3.2 times at most here.
        assert memory_mib(gateway, "VmHWM") - before < 4 * len(body) / MIB


DIGITS = st.one_of(
    st.text("0123456789", min_size=1, max_size=20),
    st.integers(290, 320).map(lambda length: "7" * length),
    st.integers(290, 320).map(lambda length: "0" * length + "7"),
    st.integers(0, 320).map(lambda length: "0" * (length + 1)),
)
EXPONENTS = st.tuples(
    st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.sampled_from(["", "0", "000"]), st.one_of(
        st.integers(0, 30), st.integers(280, 340), st.integers(9990, 10010), st.integers(0, 10**12)
    ).map(str)
).map("".join)  # fmt: skip
MADE_UP = st.tuples(
    st.sampled_from(["", "-"]),
    st.one_of(st.just("0"), DIGITS.map(lambda digits: digits.lstrip("0") or "0")),
    st.one_of(st.just(""), DIGITS.map(lambda digits: "." + digits)),
    st.one_of(st.just(""), EXPONENTS),
).map("".join)


def documented(number: str) -> bool:
    """Whether docs/gateway.md says that it passes."""
    value = Decimal(number)
    exponent = number.lower().partition("e")[2]
    too_long = len(number) > 1000 or len(exponent.lstrip("+-").lstrip("0")) > 4
    return not too_long and (value == 0 or value.adjusted() <= 307)


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=MADE_UP)
@example(number="9" * 308)
@example(number="9" * 309)
@example(number="-9.99e307")
@example(number="1e308")
@example(number="1.7976931348623157e308")
@example(number="1e309")
@example(number="0." + "0" * 307 + "1e616")
@example(number="0e9999")
@example(number="0e10000")
@example(number="-0.0e+9999")
@example(number="5e-324")
@example(number="1e-9999")
@example(number="1" + "0" * 400 + "e-400")
def test_what_is_not_finite_never_passes_and_the_rest_as_documented(gateway: Gateway, number: str):
    error = answer(gateway, member(number).encode())
    if error["code"] == "wrong_path":
        assert abs(float(json.loads(number))) < float("inf")
        assert documented(number)
    else:
        assert not documented(number)
        assert error["code"] == "invalid_body"
        assert error["message"].startswith(f"The number at byte {len(member(''))} is out of range")


def test_what_is_no_number_at_all_is_told_otherwise(gateway: Gateway):
    for text in ("01", "1.", ".5", "1e", "1e+", "-", "+1", "1.e5", "0x10", "1e1.5", "--1", "1_0", "Infinity"):
        assert answer(gateway, member(text).encode())["message"].startswith(
            "The body is not a JSON object"
        ), text
    # Whatever a number looks like, the script itself does not fail: Envoy would write a line for each.
    assert "script log" not in (gateway.folder / "envoy.log").read_text(encoding="utf-8")
