"""What vLLM checks of a body before it reads its fields, in its order and words.

These are the validators of 0.32.0's request classes that run before pydantic's, the last one first.

Each raises ApiError. A body that is not an object is left to the reading of the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.engine.errors import ApiError, bad_request, bad_value

Body = Mapping[str, Any]

MAX_SALT = 128
SALT_FORBIDDEN = frozenset("@/\\\0")
ONE_CONSTRAINT = (
    "You can only use one kind of constraints for structured outputs ('json', 'regex' or 'choice')."
)
CORRECT_CHOICE = 'Correct usage: `{"type": "function", "function": {"name": "my_function"}}`'


def before_chat(body: Body) -> None:
    check_messages_can_be_read(body)
    check_generation_prompt(body)
    check_tools(body)
    check_one_constraint(body, None)
    check_chat_logprobs(body)
    check_stream_options(body)
    check_json_schema(body)
    check_salt(body)


def before_completion(body: Body, max_prompts: int) -> None:
    check_prompt_count(body, max_prompts)
    if body.get("prompt") in (None, "") and body.get("prompt_embeds") in (None, []):
        raise named("Either prompt or prompt_embeds must be provided and non-empty.", "prompt")
    check_stream_options(body)
    check_completion_logprobs(body)
    check_one_constraint(body, "structured_outputs")
    check_json_schema(body)
    check_salt(body)


def named(message: str, parameter: str) -> ApiError:
    """A parameter without its value; vLLM appends the name to the message."""
    return bad_request(f"{message} (parameter={parameter})", parameter)


def check_messages_can_be_read(body: Body) -> None:
    """vLLM goes through them looking for system messages that are not text, and says what Python says."""
    messages = body.get("messages", [])
    if messages is None or isinstance(messages, bool | int | float):
        raise bad_request(f"{type(messages).__name__!r} object is not iterable")


def check_generation_prompt(body: Body) -> None:
    if body.get("continue_final_message") and body.get("add_generation_prompt"):
        raise bad_request("Cannot set both `continue_final_message` and `add_generation_prompt` to True.")


def check_tools(body: Body) -> None:
    tools = body.get("tools")
    if tools == []:
        raise named(
            "`tools` must not be an empty array. Either provide at least one tool or omit the field "
            "entirely.",
            "tools",
        )
    choice = body.get("tool_choice")
    if choice is None or choice == "none":
        return
    if tools is None:
        raise named("When using `tool_choice`, `tools` must be set.", "tool_choice")
    if isinstance(choice, dict):
        check_named_tool(choice, tools)
    elif choice not in ("auto", "required"):
        raise named(
            f'Invalid value for `tool_choice`: {choice}! Only named tools, "none", "auto" or '
            '"required" are supported.',
            "tool_choice",
        )


def check_named_tool(choice: Body, tools: object) -> None:
    function = choice.get("function")
    if not isinstance(function, dict):
        message = f"Invalid value for `function`: `{function}` in `tool_choice`! {CORRECT_CHOICE}"
        raise named(message, "tool_choice.function")
    if "name" not in function:
        message = f"Expected field `name` in `function` in `tool_choice`! {CORRECT_CHOICE}"
        raise named(message, "tool_choice.function.name")
    name = function["name"]
    if not isinstance(name, str) or not name:
        message = f"Invalid `name` in `function`: `{name}` in `tool_choice`! {CORRECT_CHOICE}"
        raise named(message, "tool_choice.function.name")
    if name not in tool_names(tools):
        message = "The tool specified in `tool_choice` does not match any of the specified `tools`"
        raise named(message, "tool_choice")


def tool_names(tools: object) -> set[object]:
    if not isinstance(tools, list):
        return set()
    functions = [tool.get("function") for tool in tools if isinstance(tool, dict)]
    return {function.get("name") for function in functions if isinstance(function, dict)}


def check_one_constraint(body: Body, parameter: str | None) -> None:
    asked = body.get("structured_outputs")
    if not isinstance(asked, dict):
        return
    if sum(asked.get(kind) is not None for kind in ("json", "regex", "choice")) > 1:
        raise bad_request(ONE_CONSTRAINT) if parameter is None else named(ONE_CONSTRAINT, parameter)


def check_chat_logprobs(body: Body) -> None:
    ids = body.get("logprob_token_ids")
    if ids and body.get("use_beam_search"):
        raise named("`logprob_token_ids` is not supported with beam search.", "logprob_token_ids")
    if ids and not body.get("logprobs"):
        raise named("when using `logprob_token_ids`, `logprobs` must be set to true.", "logprob_token_ids")
    check_whole_numbers(body, "prompt_logprobs", "top_logprobs")
    check_prompt_logprobs(body)
    top = body.get("top_logprobs")
    if top is None:
        return
    if top < 0 and top != -1:
        raise bad_value("`top_logprobs` must be a positive value or -1.", "top_logprobs", top)
    if (top == -1 or top > 0) and not body.get("logprobs"):
        raise named("when using `top_logprobs`, `logprobs` must be set to true.", "top_logprobs")


def check_completion_logprobs(body: Body) -> None:
    ids = body.get("logprob_token_ids")
    probabilities = body.get("logprobs")
    if ids and body.get("use_beam_search"):
        raise named("`logprob_token_ids` is not supported with beam search.", "logprob_token_ids")
    if body.get("use_beam_search") and body.get("echo") and probabilities is not None:
        raise named(
            "`echo` with `logprobs` is not supported with beam search because beam search does not compute "
            "prompt logprobs.",
            "echo",
        )
    if ids and body.get("echo") and body.get("max_tokens") == 0:
        raise named(
            "`logprob_token_ids` is not supported when `echo=True` and `max_tokens=0` because no output "
            "tokens are generated.",
            "logprob_token_ids",
        )
    if ids and probabilities is None:
        raise named("when using `logprob_token_ids`, `logprobs` must be set.", "logprob_token_ids")
    check_whole_numbers(body, "prompt_logprobs", "logprobs")
    check_prompt_logprobs(body)
    if probabilities is not None and probabilities < 0 and probabilities != -1:
        raise bad_value("`logprobs` must be a positive value or -1.", "logprobs", probabilities)


def check_whole_numbers(body: Body, *names: str) -> None:
    for name in names:
        value = body.get(name)
        if value is not None and not isinstance(value, int | float):
            raise bad_value(f"`{name}` must be an integer.", name, value)


def check_prompt_logprobs(body: Body) -> None:
    value = body.get("prompt_logprobs")
    if value is None:
        return
    if body.get("stream") and (value > 0 or value == -1):
        raise named("`prompt_logprobs` are not available when `stream=True`.", "prompt_logprobs")
    if value < 0 and value != -1:
        raise bad_value("`prompt_logprobs` must be a positive value or -1.", "prompt_logprobs", value)


def check_stream_options(body: Body) -> None:
    if body.get("stream_options") and not body.get("stream"):
        raise named("Stream options can only be defined when `stream=True`.", "stream_options")


def check_json_schema(body: Body) -> None:
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema" and wanted.get("json_schema") is None:
        message = "When response_format type is 'json_schema', the 'json_schema' field must be provided."
        raise named(message, "response_format")


def check_salt(body: Body) -> None:
    salt = body.get("cache_salt")
    if salt is None:
        return
    if not isinstance(salt, str) or not salt:
        raise named("Parameter 'cache_salt' must be a non-empty string if provided.", "cache_salt")
    if len(salt) > MAX_SALT or not SALT_FORBIDDEN.isdisjoint(salt):
        raise named(
            "Parameter 'cache_salt' must be at most 128 characters and must not contain '@', '/', '\\\\', or "
            "NUL.",
            "cache_salt",
        )


def check_prompt_count(body: Body, most: int) -> None:
    prompt = body.get("prompt")
    if not isinstance(prompt, list) or len(prompt) <= most or all(isinstance(each, int) for each in prompt):
        return
    raise named(
        f"prompt list length {len(prompt)} exceeds the maximum allowed count of {most}. To increase this "
        "limit, set the VLLM_MAX_COMPLETION_PROMPTS environment variable.",
        "prompt",
    )
