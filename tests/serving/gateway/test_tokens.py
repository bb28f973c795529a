"""Tokens: what is minted is accepted with its claims, and nothing else is."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.jwks import PublicKey
from serving.gateway.tokens import (
    EVERY_MODEL,
    MAX_DAYS,
    Claims,
    SigningKey,
    TokenError,
    claims,
    mint,
    new_key,
    raw_signature,
    read_signing_key,
    sign,
    verified,
)

KEY = new_key()
KNOWN = ("chat", "chat-large", "support-adapter")
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

teams = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
rights = st.just([EVERY_MODEL]) | st.lists(st.sampled_from(KNOWN), min_size=1, max_size=4)
lives = st.integers(min_value=1, max_value=MAX_DAYS * 86400).map(lambda seconds: timedelta(seconds=seconds))
moments = st.datetimes(datetime(2026, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


def some_claims(models: tuple[str, ...] = ("chat",), life: timedelta = timedelta(days=30)) -> Claims:
    return claims("search", "prod", models, KNOWN, life, NOW)


@given(team=teams, audience=teams, models=rights, life=lives, now=moments)
def test_what_is_minted_is_accepted_with_its_claims_until_it_expires(
    team: str, audience: str, models: list[str], life: timedelta, now: datetime
):
    content = claims(team, audience, models, KNOWN, life, now)
    token = mint(KEY, content)
    assert verified(token, [KEY.public], audience, now) == content
    assert set(content.models) == set(models)
    last = content.expires_at - timedelta(seconds=1)
    assert verified(token, [KEY.public], audience, last).team == team
    with pytest.raises(TokenError, match="expired at"):
        verified(token, [KEY.public], audience, content.expires_at)
    assert content.expires_at - content.issued_at <= timedelta(days=MAX_DAYS)


@given(position=st.integers(min_value=0), character=st.characters(codec="ascii", categories=["L", "N"]))
def test_a_token_with_one_other_character_is_no_token(position: int, character: str):
    token = mint(KEY, some_claims())
    place = position % len(token)
    changed = token[:place] + character + token[place + 1 :]
    try:
        found = verified(changed, [KEY.public], "prod", NOW)
    except TokenError:
        return
    # The last character of a part has bits that nobody reads.
    assert found == verified(token, [KEY.public], "prod", NOW)


@given(text=st.text(max_size=200))
def test_garbage_is_refused_in_one_line(text: str):
    with pytest.raises(TokenError) as raised:
        verified(text, [KEY.public], "prod", NOW)
    assert "\n" not in str(raised.value)


def test_two_tokens_never_have_one_id():
    ids = {some_claims().token_id for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(token_id) == 22 for token_id in ids)


def test_the_header_names_the_key_and_the_algorithm():
    header = jwt.get_unverified_header(mint(KEY, some_claims()))
    assert header == {"alg": "ES256", "kid": KEY.kid, "typ": "JWT"}


def test_while_a_key_is_replaced_both_sign_and_then_only_the_new_one():
    new = new_key()
    by_old, by_new = mint(KEY, some_claims()), mint(new, some_claims())
    for token in (by_old, by_new):
        assert verified(token, [KEY.public, new.public], "prod", NOW).team == "search"
    assert verified(by_new, [new.public], "prod", NOW).team == "search"
    with pytest.raises(TokenError, match=f"signed by no key of the JWKS: it names '{KEY.kid}'"):
        verified(by_old, [new.public], "prod", NOW)


def test_the_audience_is_the_stack():
    with pytest.raises(TokenError, match="not a token for staging: Audience"):
        verified(mint(KEY, some_claims()), [KEY.public], "staging", NOW)


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "iat", "exp", "jti", "models"])
def test_no_claim_may_be_missing(claim: str):
    payload = some_claims().payload()
    del payload[claim]
    with pytest.raises(TokenError, match=claim):
        verified(sign(KEY, payload), [KEY.public], "prod", NOW)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("iss", "somebody"),
        ("models", "chat"),
        ("models", [1]),
        ("exp", "tomorrow"),
        ("exp", 1e300),
        ("iat", None),
        ("sub", 7),
        ("jti", 7),
    ],
)
def test_no_claim_may_have_another_type(claim: str, value: object):
    payload = {**some_claims().payload(), claim: value}
    with pytest.raises(TokenError):
        verified(sign(KEY, payload), [KEY.public], "prod", NOW)


def test_a_foreign_key_under_a_known_name_signs_nothing():
    class Impostor(SigningKey):
        @property
        def kid(self) -> str:
            return KEY.kid

    with pytest.raises(TokenError, match="Signature verification failed"):
        verified(mint(Impostor(new_key().private), some_claims()), [KEY.public], "prod", NOW)


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_another_algorithm_is_refused(algorithm: str):
    header = {"alg": algorithm, "kid": KEY.kid, "typ": "JWT"}
    parts = [json.dumps(part).encode() for part in (header, some_claims().payload())]
    message = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts).decode()
    with pytest.raises(TokenError, match="alg value is not allowed"):
        verified(f"{message}.", [KEY.public], "prod", NOW)


@pytest.mark.parametrize(
    "team", ["", "Search", "two words", "1st", "-a", "a-", "a" * 41, "a/b", "team\n", "équipe"]
)
def test_a_team_is_a_dns_label(team: str):
    with pytest.raises(TokenError, match=r"^team .* must be a DNS label of at most 40"):
        claims(team, "prod", ["chat"], KNOWN, timedelta(days=1), NOW)


def test_an_unknown_model_is_named_with_the_valid_ones():
    with pytest.raises(
        TokenError, match=r"no model 'chat-larg': did you mean chat-large\? Valid: chat, chat-l"
    ):
        some_claims(("chat", "chat-larg"))


def test_every_model_stands_alone():
    assert some_claims((EVERY_MODEL,)).models == ("*",)
    with pytest.raises(TokenError, match="every model already"):
        some_claims((EVERY_MODEL, "chat"))
    with pytest.raises(TokenError, match="must not be empty"):
        some_claims(())


@pytest.mark.parametrize("life", [timedelta(0), timedelta(days=-1), timedelta(days=90, seconds=1)])
def test_a_token_lives_for_ninety_days_at_most(life: timedelta):
    with pytest.raises(TokenError, match="must be at most 90 and above 0"):
        some_claims(life=life)


def test_a_key_that_stays_in_a_kms_signs_too():
    class Kms:
        """Answers with a signature in DER, as every KMS does."""

        kid = "kms-2026-11"

        def sign(self, message: bytes) -> bytes:
            return raw_signature(KEY.private.sign(message, ec.ECDSA(hashes.SHA256())))

    public = PublicKey(Kms.kid, KEY.public.x, KEY.public.y)
    assert verified(mint(Kms(), some_claims()), [public], "prod", NOW).team == "search"


def test_a_key_survives_its_file_and_shows_in_no_text():
    again = read_signing_key(KEY.pem())
    assert again.kid == KEY.kid
    assert verified(mint(again, some_claims()), [KEY.public], "prod", NOW).team == "search"
    assert "private" not in repr(KEY)


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (b"", "not a private key in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----\n", "not a private key in PEM"),
        (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
            ),
            "without a passphrase",
        ),
        (
            ec.generate_private_key(ec.SECP384R1()).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            "not one on the curve P-256",
        ),
        (
            rsa.generate_private_key(65537, 2048).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            "not one on the curve P-256",
        ),
    ],
    ids=["empty", "damaged", "passphrase", "p-384", "rsa"],
)
def test_only_a_private_key_on_p_256_signs(pem: bytes, reason: str):
    with pytest.raises(TokenError, match=reason):
        read_signing_key(pem)
