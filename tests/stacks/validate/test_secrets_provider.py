"""`secretsprovider` of a stack file: what names a key, and what only looks as if it did."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.load import STACKS, from_file
from stacks.problems import StackError
from stacks.validate.secrets_provider import FORMS, check_secrets_provider

ID = "1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "default",
        "passphrase",
        *(form.example for form in FORMS.values()),
        f"awskms://{ID}?region=us-east-1",
        f"awskms://{ID}?awssdk=v2&region=eu-central-1&context_stack=prod",
        f"awskms:///arn:aws:kms:us-east-1:123456789012:key/{ID}",
        "awskms:///arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/llm",
        "gcpkms://projects/p-1/locations/global/keyRings/r/cryptoKeys/k",
        "azurekeyvault://team.vault.azure.net/keys/llm/0123456789abcdef0123456789abcdef",
        "azurekeyvault://team.vault.usgovcloudapi.net/keys/llm",
        "hashivault://llm-platform",
    ],
)
def test_keys(value):
    assert list(check_secrets_provider(value)) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("awskms:alias/x", "is no secrets provider: did you mean awskms://..."),
        ("kms://x", "is no secrets provider"),
        ("AWSKMS://alias/x?region=us-east-1", "is no secrets provider"),
        (
            "awskms://alias/x",
            "does not name a key. Write it like awskms://alias/llm-platform?region=us-east-1",
        ),
        ("awskms://", "does not name a key"),
        ("gcpkms://projects/p", "Write it like gcpkms://projects/PROJECT/locations/us-central1/keyRings/"),
        ("azurekeyvault://team", "Write it like azurekeyvault://NAME.vault.azure.net/keys/KEY"),
        ("hashivault://", "Write it like hashivault://KEY"),
        ("", "is no secrets provider"),
        (7, "is no secrets provider"),
        ({}, "is no secrets provider"),
    ],
)
def test_one_line_says_how_it_is_written(value, said):
    (problem,) = check_secrets_provider(value)
    assert problem.path == "secretsprovider"
    assert said in problem.message
    assert "\n" not in problem.message


@given(st.text(max_size=40))
def test_any_text_is_judged(text):
    assert len(list(check_secrets_provider(text))) <= 1
    assert len(list(check_secrets_provider(f"awskms://{text}"))) <= 1


def test_a_stack_file_with_a_malformed_one_is_refused(tmp_path: Path):
    text = (STACKS / "Pulumi.local.yaml").read_text(encoding="utf-8")
    for value, accepted in (("hashivault://llm", True), ("hashivault:/llm", False)):
        (tmp_path / "Pulumi.test.yaml").write_text(f"secretsprovider: {value}\n{text}", encoding="utf-8")
        if accepted:
            from_file("test", tmp_path)
        else:
            with pytest.raises(StackError, match='secretsprovider: "hashivault:/llm" is no secrets provider'):
                from_file("test", tmp_path)
