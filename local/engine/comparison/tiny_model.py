"""A tiny random Llama that a real vLLM can serve: the files of a model repository, without weights.

Four layers and a vocabulary of characters, so that `--load-format dummy` has nothing to download and a step
takes a few milliseconds on one core. The tokenizer is written out rather than trained: a byte-level
vocabulary without merges needs no library, and a text has exactly as many tokens as characters of ASCII.
"""

from __future__ import annotations

import json
from pathlib import Path

LONGEST_CONTEXT = 16384
"""Longest request in tokens that the model allows: a reply of so many is still being made when a drain of 5 s
is over. On an idle core the first 2,000 tokens take about 3 s."""

SPECIAL_TOKENS = ("<s>", "</s>")
ADDED_TOKENS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
"""Those that parsers of thoughts and of tool calls look for, with the names of Qwen3."""

ADDED_IDS = tuple(range(len(SPECIAL_TOKENS) + 128, len(SPECIAL_TOKENS) + 128 + len(ADDED_TOKENS)))
"""Their token ids."""

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}"
    "{% if enable_thinking is defined and enable_thinking is true %}{{ '<think>\\n' }}{% endif %}"
)


def byte_alphabet() -> list[str]:
    """The printable stand-in for each ASCII character that byte-level tokenizers use.

    Printable ones stand for themselves, the others are moved past code point 255, as in the GPT-2 tokenizer
    that introduced the scheme. Bytes of other characters are left out: a random model would make halves of
    characters of them, which are held back, and streams would have an event less by chance.
    """
    moved = iter(range(0x100, 0x200))
    printable = range(ord("!"), ord("~") + 1)
    return [chr(byte) if byte in printable else chr(next(moved)) for byte in range(128)]


def write_tiny_model(folder: Path) -> Path:
    """Writes config.json, tokenizer.json and tokenizer_config.json and returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    alphabet = byte_alphabet()
    vocabulary = {token: index for index, token in enumerate((*SPECIAL_TOKENS, *alphabet, *ADDED_TOKENS))}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "vocab_size": len(vocabulary),
        "max_position_embeddings": LONGEST_CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": vocabulary[token],
                "content": token,
                "special": False,  # special ones are left out of texts, and an event with them
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
            }
            for token in (*SPECIAL_TOKENS, *ADDED_TOKENS)
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        },
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [],
        },
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIAL_TOKENS[0],
        "eos_token": SPECIAL_TOKENS[1],
        "model_max_length": LONGEST_CONTEXT,
        "chat_template": CHAT_TEMPLATE,
    }
    for name, document in (
        ("config.json", config),
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", tokenizer_config),
    ):
        (folder / name).write_text(json.dumps(document, indent=1))
    return folder
