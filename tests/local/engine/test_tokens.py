from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from local.engine.tokens import chat_prompt, text_prompt, token_prompt


def test_a_token_is_four_bytes_of_utf8():
    assert text_prompt("").tokens == 0
    assert text_prompt("abcd").tokens == 1
    assert text_prompt("abcde").tokens == 2
    assert text_prompt("日本語の文章").tokens == 5  # 18 bytes


def test_token_ids_are_counted_exactly():
    prompt = token_prompt([1, 151_935, 2**63 - 1])
    assert prompt.tokens == 3
    assert prompt.largest_id == 2**63 - 1


def test_a_chat_has_the_template_around_every_message():
    assert chat_prompt([]).tokens == 3
    assert chat_prompt([("user", "abcd")]).tokens == 3 + 5 + 1
    assert chat_prompt([("system", "abcd"), ("user", "abcd")]).tokens == 3 + 2 * (5 + 1)


@given(st.text(), st.text(), st.text(), st.sampled_from([1, 4, 16]))
def test_keys_are_equal_exactly_as_far_as_prompts_are(shared: str, one: str, other: str, block_size: int):
    first, second = text_prompt(shared + one), text_prompt(shared + other)
    width = block_size * first.bytes_per_token
    for index, (a, b) in enumerate(
        zip(first.block_keys(block_size), second.block_keys(block_size), strict=False), start=1
    ):
        assert (a == b) == (first.content[: index * width] == second.content[: index * width])


def test_only_full_blocks_have_keys():
    assert len(text_prompt("x" * 4 * 16).block_keys(16)) == 1
    assert len(text_prompt("x" * (4 * 16 - 1)).block_keys(16)) == 0


def test_the_fingerprint_does_not_depend_on_the_process():
    assert text_prompt("hello").fingerprint == 0x3610A686  # CRC-32 of "hello"
