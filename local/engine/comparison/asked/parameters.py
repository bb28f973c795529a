"""Parameters of a chat at and outside the ends of their ranges, alone and where two must fit each other."""

from __future__ import annotations

from local.engine.comparison.asked.bodies import CHAT, HI, SERVED_NAME, chat
from local.engine.comparison.exchanges import Compared, Exchange

OUTSIDE = 2**31 - 1
"""A token id that no vocabulary has."""

LENGTHS = (
    Exchange("chat", CHAT, chat()),
    Exchange("chat without a model", CHAT, {"messages": HI, "max_tokens": 1}),
    Exchange("chat with an empty model", CHAT, chat(model="")),
    Exchange("chat with model null", CHAT, chat(model=None)),
    Exchange("chat with a model of the wrong type", CHAT, chat(model=5)),
    Exchange("unknown model", CHAT, chat(model="nope")),
    Exchange("chat with an unknown field", CHAT, chat(foo=1)),
    Exchange("chat with max_completion_tokens", CHAT, chat(max_tokens=None, max_completion_tokens=3)),
    Exchange("both lengths", CHAT, chat(max_tokens=5000, max_completion_tokens=3)),
    Exchange("max_tokens over the context", CHAT, chat(max_tokens=5000)),
    Exchange("max_completion_tokens over the context", CHAT, chat(max_completion_tokens=5000)),
    Exchange("max_tokens zero", CHAT, chat(max_tokens=0)),
    Exchange("max_completion_tokens zero", CHAT, chat(max_completion_tokens=0)),
    Exchange("max_tokens negative", CHAT, chat(max_tokens=-1)),
    Exchange("max_tokens a fraction", CHAT, chat(max_tokens=1.5)),
    Exchange("max_tokens as text", CHAT, chat(max_tokens="2")),
    Exchange("max_tokens a word", CHAT, chat(max_tokens="two")),
    Exchange("min_tokens over max_tokens", CHAT, chat(min_tokens=5)),
    Exchange("min_tokens negative", CHAT, chat(min_tokens=-1)),
)

CHOICES = (
    Exchange("n zero", CHAT, chat(n=0)),
    Exchange("n negative", CHAT, chat(n=-1)),
    Exchange("n null", CHAT, chat(n=None)),
    Exchange("n as text", CHAT, chat(n="2")),
    Exchange("n a fraction", CHAT, chat(n=1.5)),
    Exchange("n over the most", CHAT, chat(n=20000)),
    Exchange("n of two with temperature zero", CHAT, chat(n=2, temperature=0)),
    Exchange("n of two with temperature zero streamed", CHAT, chat(n=2, temperature=0, stream=True)),
    Exchange("n of two with beam search", CHAT, chat(n=2, use_beam_search=True)),
    Exchange("best_of", CHAT, chat(best_of=2)),
    Exchange("best_of below n", CHAT, chat(best_of=1, n=2)),
)

SAMPLING = (
    Exchange("temperature zero", CHAT, chat(temperature=0)),
    Exchange("temperature of two", CHAT, chat(temperature=2)),
    Exchange("temperature null", CHAT, chat(temperature=None)),
    Exchange("temperature negative", CHAT, chat(temperature=-1)),
    Exchange("temperature too high", CHAT, chat(temperature=3)),
    Exchange("temperature a word", CHAT, chat(temperature="hot")),
    Exchange("top_p of one", CHAT, chat(top_p=1)),
    Exchange("top_p zero", CHAT, chat(top_p=0)),
    Exchange("top_p negative", CHAT, chat(top_p=-0.5)),
    Exchange("top_p too high", CHAT, chat(top_p=2)),
    Exchange("top_k of minus one", CHAT, chat(top_k=-1)),
    Exchange("top_k zero", CHAT, chat(top_k=0)),
    Exchange("top_k of five", CHAT, chat(top_k=5)),
    Exchange("top_k negative", CHAT, chat(top_k=-2)),
    Exchange("top_k a fraction", CHAT, chat(top_k=1.5)),
    Exchange("min_p of a half", CHAT, chat(min_p=0.5)),
    Exchange("min_p too high", CHAT, chat(min_p=2)),
    Exchange("min_p negative", CHAT, chat(min_p=-0.1)),
    Exchange("presence_penalty of two", CHAT, chat(presence_penalty=2)),
    Exchange("presence_penalty too high", CHAT, chat(presence_penalty=3)),
    Exchange("presence_penalty too low", CHAT, chat(presence_penalty=-2.5)),
    Exchange("frequency_penalty of minus two", CHAT, chat(frequency_penalty=-2)),
    Exchange("frequency_penalty too low", CHAT, chat(frequency_penalty=-3)),
    Exchange("frequency_penalty too high", CHAT, chat(frequency_penalty=2.5)),
    Exchange("repetition_penalty of 1.5", CHAT, chat(repetition_penalty=1.5)),
    Exchange("repetition_penalty zero", CHAT, chat(repetition_penalty=0)),
    Exchange("repetition_penalty negative", CHAT, chat(repetition_penalty=-1)),
    Exchange("length_penalty of zero", CHAT, chat(length_penalty=0)),
    Exchange("seed negative", CHAT, chat(seed=-1)),
    Exchange("seed too large", CHAT, chat(seed=2**63)),
    Exchange("seed a word", CHAT, chat(seed="x")),
)

STOPS = (
    Exchange("stop empty", CHAT, chat(stop=[""])),
    Exchange("stop an empty text", CHAT, chat(stop="")),
    Exchange("stop of no texts", CHAT, chat(stop=[])),
    Exchange("stop null", CHAT, chat(stop=None)),
    Exchange("stop of four texts", CHAT, chat(stop=["1", "2", "3", "4"])),
    Exchange("stop of five texts", CHAT, chat(stop=["1", "2", "3", "4", "5"])),
    Exchange("stop a number", CHAT, chat(stop=5)),
    Exchange("stop token ids", CHAT, chat(stop_token_ids=[1])),
    Exchange("stop token ids null", CHAT, chat(stop_token_ids=None)),
    Exchange("stop token ids outside the vocabulary", CHAT, chat(stop_token_ids=[OUTSIDE])),
    Exchange("stop token ids negative", CHAT, chat(stop_token_ids=[-1])),
    Exchange("stop token ids of the wrong type", CHAT, chat(stop_token_ids=["a"])),
)

TOKENS = (
    Exchange("logit_bias", CHAT, chat(logit_bias={"5": 1})),
    Exchange("logit_bias empty", CHAT, chat(logit_bias={})),
    Exchange("logit_bias too high", CHAT, chat(logit_bias={"5": 101})),
    Exchange("logit_bias outside the vocabulary", CHAT, chat(logit_bias={str(OUTSIDE): 1})),
    Exchange("logit_bias of a word", CHAT, chat(logit_bias={"a": 1})),
    Exchange("logit_bias of the wrong type", CHAT, chat(logit_bias=[1])),
    Exchange("allowed token ids", CHAT, chat(allowed_token_ids=[5])),
    Exchange("allowed token ids empty", CHAT, chat(allowed_token_ids=[])),
    Exchange("allowed token ids outside the vocabulary", CHAT, chat(allowed_token_ids=[OUTSIDE])),
    Exchange("bad words", CHAT, chat(bad_words=["a"])),
    Exchange("bad words empty", CHAT, chat(bad_words=[""])),
    Exchange("log probabilities", CHAT, chat(logprobs=True), compared=Compared.HEAD),
    Exchange(
        "log probabilities of the best", CHAT, chat(logprobs=True, top_logprobs=2), compared=Compared.HEAD
    ),
    Exchange("too many log probabilities", CHAT, chat(logprobs=True, top_logprobs=21)),
    Exchange("top log probabilities alone", CHAT, chat(top_logprobs=2)),
    Exchange("top log probabilities negative", CHAT, chat(logprobs=True, top_logprobs=-2)),
    Exchange("top log probabilities a word", CHAT, chat(logprobs=True, top_logprobs="x")),
    Exchange("log probabilities of the prompt", CHAT, chat(prompt_logprobs=1), compared=Compared.HEAD),
    Exchange("log probabilities of the prompt negative", CHAT, chat(prompt_logprobs=-2)),
    Exchange("log probabilities of the prompt streamed", CHAT, chat(prompt_logprobs=1, stream=True)),
    Exchange("returned token ids", CHAT, chat(return_token_ids=True)),
    Exchange("truncated prompt", CHAT, chat(truncate_prompt_tokens=3)),
    Exchange("truncated prompt negative", CHAT, chat(truncate_prompt_tokens=-2)),
    Exchange("truncated prompt over the context", CHAT, chat(truncate_prompt_tokens=5000)),
)

FORMATS = (
    Exchange("response_format text", CHAT, chat(response_format={"type": "text"})),
    Exchange("response_format json_object", CHAT, chat(response_format={"type": "json_object"})),
    Exchange("response_format json_schema without one", CHAT, chat(response_format={"type": "json_schema"})),
    Exchange("response_format unknown", CHAT, chat(response_format={"type": "xml"}), compared=Compared.KIND),
    Exchange("response_format without a type", CHAT, chat(response_format={}), compared=Compared.KIND),
    Exchange(
        "structured outputs of two kinds", CHAT, chat(structured_outputs={"regex": "a", "choice": ["a"]})
    ),
    Exchange("structured outputs empty", CHAT, chat(structured_outputs={})),
)

EXTRAS = (
    Exchange("reasoning_effort low", CHAT, chat(reasoning_effort="low")),
    Exchange("reasoning_effort none", CHAT, chat(reasoning_effort="none")),
    Exchange("reasoning_effort unknown", CHAT, chat(reasoning_effort="super")),
    Exchange("include_reasoning false", CHAT, chat(include_reasoning=False)),
    Exchange("thinking_token_budget", CHAT, chat(thinking_token_budget=5)),
    Exchange("thinking_token_budget negative", CHAT, chat(thinking_token_budget=-2)),
    Exchange("cache_salt", CHAT, chat(cache_salt="a")),
    Exchange("cache_salt empty", CHAT, chat(cache_salt="")),
    Exchange("cache_salt a number", CHAT, chat(cache_salt=5)),
    Exchange("cache_salt too long", CHAT, chat(cache_salt="a" * 1025)),
    Exchange("chat_template", CHAT, chat(chat_template="{{ messages }}")),
    Exchange("chat_template_kwargs", CHAT, chat(chat_template_kwargs={"enable_thinking": False})),
    Exchange("chat_template_kwargs with a template", CHAT, chat(chat_template_kwargs={"chat_template": "x"})),
    Exchange("chat_template_kwargs of the wrong type", CHAT, chat(chat_template_kwargs=1)),
    Exchange("documents", CHAT, chat(documents=[{"title": "a", "text": "b"}])),
    Exchange("priority", CHAT, chat(priority=1)),
    Exchange("priority zero", CHAT, chat(priority=0)),
    Exchange("stream_interval zero", CHAT, chat(stream_interval=0)),
    Exchange("vllm_xargs", CHAT, chat(vllm_xargs={"a": 1})),
    Exchange("fields of OpenAI that are ignored", CHAT, chat(user="u", store=True, metadata={"a": "b"})),
    Exchange("parallel_tool_calls without tools", CHAT, chat(parallel_tool_calls=False)),
    Exchange("request_id", CHAT, chat(request_id="mine")),
    Exchange("functions as of 2023", CHAT, chat(functions=[{"name": "f"}], function_call="auto")),
    Exchange(
        "tokenize a chat with a template",
        "/tokenize",
        {"model": SERVED_NAME, "messages": HI, "chat_template": "x"},
    ),
)

PARAMETERS = (*LENGTHS, *CHOICES, *SAMPLING, *STOPS, *TOKENS, *FORMATS, *EXTRAS)
