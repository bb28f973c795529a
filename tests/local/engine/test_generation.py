from __future__ import annotations

from dataclasses import replace

import pytest

from local.engine.chat import ChatRequest
from local.engine.completions import CompletionRequest
from local.engine.errors import ApiError
from local.engine.generation import choice_text, planned_request, rendered
from local.engine.messages import Media
from local.engine.protocol import GenerationRequest
from local.engine.request import Request
from local.engine.settings import Engine
from tests.local.engine.conftest import quick_engine

ENGINE, SERVER = quick_engine()
MEDIA = Media("chat")
CONTEXT = ENGINE.max_model_len


def completion(**fields: object) -> CompletionRequest:
    return CompletionRequest.model_validate({"prompt": "x" * 400, **fields})


def chat(**fields: object) -> ChatRequest:
    """A conversation whose prompt has 100 tokens, and a reply without a limit."""
    return ChatRequest.model_validate({"messages": [{"role": "user", "content": "x" * 368}], **fields})


def planned(asked: GenerationRequest) -> Request:
    return planned_within(asked, ENGINE)


def planned_within(asked: GenerationRequest, engine: Engine) -> Request:
    prompts = rendered(asked, MEDIA, engine)
    asked.check_emulated()
    return planned_request(asked, prompts, engine, SERVER.max_choices)


def test_max_tokens_is_the_length():
    choice = planned(completion(max_tokens=33)).choices[0]
    assert (choice.sequence.output_tokens, choice.reason) == (33, "length")


def test_a_completion_has_sixteen_tokens_unless_told_otherwise():
    for asked in (completion(), completion(max_tokens=None)):
        assert planned(asked).choices[0].sequence.output_tokens == 16


def test_the_context_cuts_a_long_reply():
    choice = planned(completion(max_tokens=CONTEXT)).choices[0]
    assert choice.sequence.output_tokens == CONTEXT - 100
    assert choice.reason == "length"


def test_the_servers_limit_holds_for_every_reply():
    bounded = replace(ENGINE, max_reply=50)
    for asked in (completion(max_tokens=80), chat(ignore_eos=True)):
        choice = planned_within(asked, bounded).choices[0]
        assert (choice.sequence.output_tokens, choice.reason) == (50, "length")
    short = completion(max_tokens=49)
    assert planned_within(short, bounded).choices[0].sequence.output_tokens == 49


def test_an_unlimited_reply_ends_by_itself_unless_it_must_not():
    drawn = planned(chat()).choices[0]
    assert drawn.reason == "stop"
    endless = planned(chat(ignore_eos=True)).choices[0]
    assert (endless.sequence.output_tokens, endless.reason) == (CONTEXT - 100, "length")
    longer = planned(chat(min_tokens=1000)).choices[0]
    assert longer.sequence.output_tokens >= 1000


def test_choices_of_one_prompt_differ_and_share_its_memory():
    choices = planned(completion(n=3, max_tokens=9)).choices
    texts = {choice_text(choice, 0, 9, keep_stop=False) for choice in choices}
    assert len(texts) == 3
    assert choices[0].sequence.block_keys == choices[1].sequence.block_keys != []


def test_no_keys_without_prefix_caching():
    asked = completion()
    request = planned_within(asked, replace(ENGINE, prefix_caching=False))
    assert request.choices[0].sequence.block_keys == []


def test_a_stop_string_is_not_shown_in_any_piece():
    choice = planned(completion(stop=["reply is"], max_tokens=9)).choices[0]
    pieces = [choice_text(choice, at, at + 1, keep_stop=False) for at in range(choice.sequence.output_tokens)]
    assert "".join(pieces) == "This "
    assert choice.reason == "stop"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"logprobs": 1}, "logprobs: there are no probabilities"),
        ({"prompt_logprobs": 1}, "prompt_logprobs"),
        ({"use_beam_search": True}, "use_beam_search"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"prompt": [1, 2], "echo": True}, "a prompt given as token ids has no text"),
        ({"prompt": [200_000]}, "Token id 200000 is out of vocabulary"),
        ({"min_tokens": -1}, "min_tokens must be greater than or equal to 0"),
    ],
)
def test_what_cannot_be_answered_is_refused(fields: dict[str, object], message: str):
    with pytest.raises(ApiError, match=message) as refused:
        planned(completion(**fields))
    assert refused.value.status == 400


def test_parts_of_a_message_are_joined():
    parts = [{"type": "text", "text": "ab"}, {"type": "text", "text": "c"}]
    joined = ChatRequest.model_validate({"messages": [{"role": "user", "content": parts}]})
    plain = ChatRequest.model_validate({"messages": [{"role": "user", "content": "ab\nc"}]})
    assert joined.prompts(MEDIA) == plain.prompts(MEDIA)


def test_a_lone_number_is_not_a_list_of_prompts():
    assert completion(prompt=[1, 2, 3]).prompts(MEDIA)[0].tokens == 3
    assert [prompt.tokens for prompt in completion(prompt=[[1, 2], [3]]).prompts(MEDIA)] == [2, 1]
