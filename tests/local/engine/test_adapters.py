from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from local.engine.adapters import adapter_settings, adapter_slots
from local.engine.flags import parse
from local.engine.refusal import Refused
from local.engine.scheduler import Limits, Scheduler, Sequence
from local.engine.tokens import text_prompt
from serving.engines import vllm
from serving.replica import Adapter
from sizing.fit.adapters import AdapterSlots
from tests.local.engine.asking import with_server
from tests.local.engine.test_app import complete
from tests.serving.contracts import small_replica

NAMES = ("chat", "gpt-4o")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 16}))
    return tmp_path


def settings(*flags: str):
    return adapter_settings(parse(["Qwen/Qwen3-8B", *flags]), NAMES)


def test_both_spellings_and_the_parent(folder: Path):
    module = json.dumps({"name": "org/legal,v2", "path": str(folder), "base_model_name": "gpt-4o"})
    found = settings("--enable-lora", "--max-loras", "2", "--lora-modules", f"sql={folder}", module)
    assert found is not None
    assert found.at_once == 2
    assert [(each.name, each.parent) for each in found.loaded] == [
        ("sql", "chat"),
        ("org/legal,v2", "gpt-4o"),
    ]


def test_without_the_flag_there_are_none():
    assert settings() is None


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (["--max-loras", "4"], None),
        (["--enable-lora"], AdapterSlots(1, 16)),
        (["--enable-lora", "--max-loras", "4", "--max-lora-rank", "64"], AdapterSlots(4, 64)),
    ],
)
def test_room_is_kept_for_what_the_flags_say_loaded_or_not(flags: list[str], kept: AdapterSlots | None):
    assert adapter_slots(parse(["Qwen/Qwen3-8B", *flags])) == kept


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--lora-modules", "sql={folder}"], "Use --enable-lora"),
        (["--enable-lora", "--lora-modules", "sql=/nowhere"], "No adapter found for /nowhere"),
        (["--enable-lora", "--lora-modules", "chat={folder}"], "conflicts with a base model"),
        (["--enable-lora", "--lora-modules", "{{}}"], "Invalid fields"),
        (["--enable-lora", "--lora-modules", "sql"], "Invalid JSON format"),
        (["--enable-lora", "--lora-modules", '{{"name": 5, "path": "x"}}'], "Invalid fields"),
        (["--enable-lora", "--max-loras", "0"], "max_loras must be at least 1"),
        (
            ["--enable-lora", "--max-lora-rank", "8", "--lora-modules", "sql={folder}"],
            "LoRA rank 16 is greater than max_lora_rank 8.",
        ),
    ],
)
def test_what_vllm_refuses(folder: Path, flags: list[str], said: str):
    with pytest.raises(Refused, match=said.replace("(", "[(]")):
        settings(*(flag.format(folder=folder) for flag in flags))


@pytest.mark.parametrize("text", ["[]", "{}", "{", '{"r": 0}', '{"r": "16"}'])
def test_a_folder_that_holds_no_adapter(folder: Path, text: str):
    (folder / "adapter_config.json").write_text(text)
    with pytest.raises(Refused):
        settings("--enable-lora", "--lora-modules", f"sql={folder}")


def test_an_adapter_is_listed_answers_and_shows(folder: Path):
    async def ask(client: httpx.AsyncClient) -> None:
        cards = {card["id"]: card for card in (await client.get("/v1/models")).json()["data"]}
        assert cards["chat"]["parent"] is None
        assert (cards["sql"]["parent"], cards["sql"]["root"]) == ("chat", str(folder))
        assert (await complete(client, model="sql")).json()["model"] == "sql"
        assert (await complete(client, model="other")).status_code == 404
        text = (await client.get("/metrics")).text
        shown = (
            'vllm:lora_requests_info{max_lora="1",running_lora_adapters="sql",waiting_lora_adapters="sql"}'
        )
        assert shown in text

    with_server(ask, "--enable-lora", "--lora-modules", f"sql={folder}")


def test_without_adapters_there_is_no_series_about_them():
    async def ask(client: httpx.AsyncClient) -> None:
        assert (await complete(client)).status_code == 200
        assert "lora_requests_info" not in (await client.get("/metrics")).text

    with_server(ask)


def test_one_adapter_too_many_is_passed_over_and_keeps_its_place():
    scheduler = Scheduler(Limits(10, 100, 100, 16, prefix_caching=True, adapters=1))
    first, second, again, base = (Sequence(4, 2, [], adapter) for adapter in ("sql", "legal", "sql", None))
    for sequence in (first, second, again, base):
        scheduler.add(sequence)
    assert [sequence for sequence, _ in scheduler.schedule().work] == [first, again, base]
    assert list(scheduler.waiting) == [second]


def test_what_an_adapter_computed_is_its_own():
    prompt = text_prompt("word " * 100)
    assert prompt.block_keys(16, "sql") == prompt.block_keys(16, "sql")
    keys = [set(prompt.block_keys(16, adapter)) for adapter in (None, "sql", "legal")]
    assert not keys[0] & keys[1]
    assert not keys[1] & keys[2]


def test_the_programs_flags_are_understood(tmp_path: Path):
    adapters = (
        Adapter("sql", "org/sql-lora", "a" * 40, rank=24),
        Adapter("org/legal", "org/legal-lora", "b" * 40, rank=8),
    )
    arguments = vllm.arguments(small_replica(adapters=adapters))
    parsed = parse([argument.replace("/weights/adapters", str(tmp_path)) for argument in arguments])
    assert (parsed.max_lora_rank, parsed.max_loras) == (32, 2)
    for module in parsed.lora_modules:
        path = Path(json.loads(module)["path"])
        path.mkdir(parents=True)
        (path / "adapter_config.json").write_text('{"r": 24}')
    found = adapter_settings(parsed, NAMES)
    assert found is not None
    assert [adapter.name for adapter in found.loaded] == ["sql", "org/legal"]


def test_no_flags_for_no_adapters():
    assert not [flag for flag in vllm.arguments(small_replica()) if "lora" in flag]
