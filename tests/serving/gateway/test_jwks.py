"""The JWKS: what is written is read again, and whatever the gateway must not get is refused."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.jwks import JwksError, PublicKey, read_jwks, thumbprint, write_jwks
from serving.gateway.tokens import SigningKey, new_key

OLD, NEW = new_key(), new_key()


@pytest.mark.parametrize("keys", [(OLD,), (OLD, NEW)], ids=["one", "two"])
def test_what_is_written_is_read_again_in_its_order(keys: tuple[SigningKey, ...]):
    text = write_jwks([key.public for key in keys])
    assert read_jwks(text) == tuple(key.public for key in keys)
    assert {key.key_id for key in jwt.PyJWKSet.from_json(text).keys} == {key.kid for key in keys}


def test_nothing_of_the_private_half_is_written():
    text = write_jwks([OLD.public])
    assert set(json.loads(text)["keys"][0]) == {"kty", "crv", "alg", "use", "kid", "x", "y"}


def test_a_key_is_named_as_another_library_would_name_it():
    key = jwt.PyJWK(OLD.public.jwk())
    assert OLD.kid == thumbprint(OLD.public.x, OLD.public.y)
    assert key.key_id == OLD.kid
    # The key of RFC 7515, A.3, whose thumbprint other implementations have in their tests too.
    example = PublicKey.of(
        "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    )
    assert example.kid == "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"


def edited(**members: Any) -> str:
    entry = {**OLD.public.jwk(), **members}
    return json.dumps({"keys": [{key: value for key, value in entry.items() if value is not None}]})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("[]", "not a JWKS"),
        ('{"keys": {}}', "not a JWKS"),
        ('{"keys": []}', "0 keys: must be one, or two"),
        (json.dumps({"keys": [new_key().public.jwk() for _ in range(3)]}), "3 keys: must be one, or two"),
        (json.dumps({"keys": [OLD.public.jwk()] * 2}), r"keys\[1\]\.kid: the same as"),
        ('{"keys": [7]}', r"keys\[0\]: must be a JSON Web Key"),
        (edited(d="c2VjcmV0"), r"keys\[0\]\.d: a private key"),
        (edited(kty="oct", k="c2VjcmV0"), r"keys\[0\]\.k: a private key"),
        (edited(kty="RSA"), r"keys\[0\]\.kty: must be 'EC'"),
        (edited(crv="P-384"), r"keys\[0\]\.crv: must be 'P-256'"),
        (edited(alg="ES384"), r"keys\[0\]\.alg: must be 'ES256'"),
        (edited(use="enc"), r"keys\[0\]\.use: must be 'sig'"),
        (edited(kid=None), r"keys\[0\]\.kid: must be"),
        (edited(kid="../key"), r"keys\[0\]\.kid: must be"),
        (edited(x=None), r"keys\[0\]\.x: must be 32 bytes"),
        (edited(x=OLD.public.x + "A"), r"keys\[0\]\.x: must be 32 bytes"),
        (edited(x=OLD.public.y), r"keys\[0\]: its x and y are no point"),
    ],
)
def test_what_the_gateway_must_not_get_is_refused(text: str, reason: str):
    with pytest.raises(JwksError, match=reason) as raised:
        read_jwks(text)
    assert "c2VjcmV0" not in str(raised.value)


def test_a_key_of_somebody_else_may_leave_out_what_follows_and_have_a_name_of_its_own():
    (key,) = read_jwks(edited(alg=None, use=None, kid="kms-2026-11"))
    assert key == PublicKey("kms-2026-11", OLD.public.x, OLD.public.y)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(members=st.dictionaries(st.sampled_from(["kty", "crv", "alg", "use", "kid", "x", "y"]), json_values))
def test_any_json_is_read_or_refused_in_one_line(members: dict[str, Any]):
    reason = ""
    try:
        read_jwks(json.dumps({"keys": [{**OLD.public.jwk(), **members}]}))
    except JwksError as error:
        reason = str(error)
    assert "\n" not in reason
