from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.commands.base import Base, RevisionError
from stacks.commands.plan_diff import main
from stacks.load import PROJECT
from tests.stacks.environments import aws_values, local_values, merged

TODAY = date(2026, 7, 21)


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def write(root: Path, values: dict[str, Any], name: str = "prod") -> None:
    config = {f"{PROJECT}:{key}": value for key, value in values.items()}
    (root / "stacks").mkdir(exist_ok=True)
    path = root / "stacks" / f"Pulumi.{name}.yaml"
    path.write_text(yaml.safe_dump({"config": config}), encoding="utf-8")


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "change")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose main branch holds a stack `prod` and the schema."""
    git(tmp_path, "init", "-q", "-b", "main")
    write(tmp_path, aws_values())
    (tmp_path / "stacks" / "schema.json").write_text('{"version": 1}', encoding="utf-8")
    commit(tmp_path)
    return tmp_path


def difference(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main([*(arguments or ("prod",)), "--base", "main"], TODAY, root) == status
    return capsys.readouterr().out


def first_line(text: str) -> str:
    return text.splitlines()[0]


def row(text: str, what: str) -> str:
    (found,) = [line for line in text.splitlines() if line.startswith(f"| {what} |")]
    return found


def priced(**changes: object) -> dict[str, Any]:
    """The stack with a price of its own, so that amounts can be counted by hand."""
    price = {"machine_type": "g6.2xlarge", "usd_per_hour": 1.0, "as_of": "2026-07-20", "source": "a contract"}
    return merged({**aws_values(), "price_overrides": [price]}, changes)


def test_nothing_changed(root: Path, capsys: pytest.CaptureFixture[str]):
    text = difference(root, capsys)
    assert first_line(text) == "- `prod`: unchanged, no field and no figure"
    # The verdict, an empty line, and what it is compared with.
    assert len(text.splitlines()) == 3


def test_comments_and_order_of_keys_are_no_change(root: Path, capsys: pytest.CaptureFixture[str]):
    write(root, dict(reversed(aws_values().items())))
    assert first_line(difference(root, capsys)) == "- `prod`: unchanged, no field and no figure"


def test_a_doubled_context_shows_that_half_as_many_requests_fit(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    write(root, merged(aws_values(), {"models.0.max_model_len": 32768}))
    text = difference(root, capsys)
    # 66176 tokens of cache: 4.04 requests of 16384 tokens, 2.02 of 32768.
    assert first_line(text) == (
        "- **`prod`: ±0 $/month**; `chat` loses full-length requests per replica (4.0 → 2.0)"
    )
    assert row(text, "`chat` `max_model_len`") == "| `chat` `max_model_len` | 16384 | 32768 | gain |"


def test_fewer_replicas_at_most_are_a_loss_and_cheaper(root: Path, capsys: pytest.CaptureFixture[str]):
    write(root, priced())
    commit(root)
    write(root, priced(**{"models.0.replicas.max": 3}))
    text = difference(root, capsys)
    # Two machines less at 1 $/h x 730 h; one replica is enough for what is expected.
    assert "±0 $/month (at most -1460)**; `chat` loses `replicas.max` (5 → 3)" in first_line(text)


def test_a_new_name_of_the_same_model_is_a_loss_unless_an_alias_keeps_the_old_one(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    write(root, merged(aws_values(), {"models.1.name": "assistant"}))
    assert "`chat-large` is now called `assistant`, requests for `chat-large` fail" in first_line(
        difference(root, capsys)
    )
    write(root, merged(aws_values(), {"models.1.name": "assistant", "models.1.aliases": ["chat-large"]}))
    text = difference(root, capsys)
    assert "fail" not in text
    assert "- `chat-large` is now called `assistant` and answers to its old names" in text


def test_a_model_that_is_removed_is_a_loss(root: Path, capsys: pytest.CaptureFixture[str]):
    values = aws_values()
    del values["models"][1]
    values["node_pools"] = [
        pool for pool in values["node_pools"] if pool["name"] == values["models"][0]["node_pool"]
    ]
    write(root, values)
    text = difference(root, capsys)
    assert "`chat-large` is removed, requests for `chat-large` fail" in first_line(text)
    assert "- pool `" in text


def test_a_stack_that_the_base_does_not_have(root: Path, capsys: pytest.CaptureFixture[str]):
    write(root, aws_values(), name="other")
    text = difference(root, capsys, "other")
    assert first_line(text).startswith("- **`other`: new**, ")
    assert "| model | `chat` | `chat-large` |" in text


def test_a_deleted_stack_file(root: Path, capsys: pytest.CaptureFixture[str]):
    (root / "stacks" / "Pulumi.prod.yaml").unlink()
    assert first_line(difference(root, capsys)) == (
        "- **`prod`: deleted**. What runs stays until `pulumi destroy`, which needs the file"
    )


def test_a_name_that_neither_side_has(root: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["prd"], TODAY, root) == 1
    assert 'no stack "prd": did you mean prod?' in capsys.readouterr().out


def test_without_a_name_all_stacks_are_compared_worst_first(root: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("calm", "gone", "worse"):
        write(root, aws_values(), name=name)
    commit(root)
    (root / "stacks" / "Pulumi.gone.yaml").unlink()
    write(root, merged(aws_values(), {"models.0.warm_replicas": 0, "models.0.replicas.max": 4}), name="worse")
    write(root, merged(aws_values(), {"gateway": 3}))
    assert main(["--base", "main"], TODAY, root) == 1
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0]
        == "- **`prod`: cannot be planned**: `gateway: 3 must be a mapping (the OpenAI-compatible entrance)`"
    )
    assert lines[1].startswith("- **`worse`: ")
    assert lines[2].startswith("- **`gone`: deleted**")
    assert lines[3] == "- `calm`: unchanged, no field and no figure"


def test_a_base_that_todays_rules_refuse_is_not_compared_and_says_why(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    values = aws_values()
    values["models"][0]["replcas"] = values["models"][0].pop("replicas")
    write(root, values)
    commit(root)
    write(root, aws_values())
    text = difference(root, capsys)
    assert first_line(text).startswith("- **`prod`: not compared, the base cannot be planned**, ")
    assert "- `models[0].replcas: unknown key: did you mean replicas?" in text


def test_both_sides_may_fail(root: Path, capsys: pytest.CaptureFixture[str]):
    write(root, {**aws_values(), "gateway": 3})
    commit(root)
    assert "The base cannot be planned either, for the same reasons." in difference(root, capsys, status=1)
    write(root, {**aws_values(), "gateway": 3, "budget": 3})
    text = difference(root, capsys, status=1)
    assert first_line(text).endswith("and 1 more")
    assert "The base cannot be planned either." in text


def test_an_older_schema_is_pointed_out(root: Path, capsys: pytest.CaptureFixture[str]):
    schema = root / "stacks" / "schema.json"
    schema.write_text('{"version": 0}', encoding="utf-8")
    commit(root)
    assert "`main` has version `0` of the schema, this checkout 1" in difference(root, capsys)
    schema.unlink()
    commit(root)
    assert "`main` has no schema" in difference(root, capsys)


def test_a_change_above_the_budget_is_refused_and_then_was_refused_before(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    write(root, {**aws_values(), "budget": {"monthly_usd": 100}})
    assert first_line(difference(root, capsys, status=1)).startswith(
        "- **`prod`: refused**: `budget.monthly_usd: 100 is less than"
    )
    commit(root)
    assert first_line(difference(root, capsys, status=1)).startswith(
        "- **`prod`: refused, as at the base**: `budget.monthly_usd: 100 is less than"
    )


def test_warnings_that_are_new_resolved_and_as_before(root: Path, capsys: pytest.CaptureFixture[str]):
    # The budget is above what is reached at most, and expected_load is never above that.
    write(root, {**aws_values(), "budget": {"monthly_usd": 100, "if_maximum_exceeds": "warn"}})
    text = difference(root, capsys)
    new = [line for line in text.splitlines() if line.startswith("- New warning: ")]
    assert len(new) == 2
    assert all("is above budget.monthly_usd 100" in line for line in new)
    commit(root)
    write(root, aws_values())
    gone = [line for line in difference(root, capsys).splitlines() if line.startswith("- No longer: ")]
    assert [line.partition(": ")[2] for line in gone] == [line.partition(": ")[2] for line in new]


def test_another_provider_is_one_line(root: Path, capsys: pytest.CaptureFixture[str]):
    write(root, local_values())
    text = difference(root, capsys)
    assert "the cluster moves from aws to local: another cluster, nothing that runs is taken along" in text
    assert "`cluster`" not in text


def test_an_unknown_revision_says_what_to_do(root: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(RevisionError, match='git knows no revision "nowhere"'):
        Base.at(root, "nowhere")
    assert main(["prod", "--base", "nowhere"], TODAY, root) == 1
    text = capsys.readouterr().out
    assert text.startswith('**Nothing was compared**: `git knows no revision "nowhere": fetch it')
    assert "git fetch origin nowhere" in text


def test_other_weights_under_the_same_name_are_in_the_verdict(root: Path, capsys: pytest.CaptureFixture[str]):
    write(root, merged(aws_values(), {"models.0.revision": "f" * 40}))
    assert first_line(difference(root, capsys)) == "- **`prod`: ±0 $/month**; `chat` has another revision"


def test_a_new_model_and_new_warnings_are_in_the_verdict(root: Path, capsys: pytest.CaptureFixture[str]):
    budget = {"monthly_usd": 100, "if_maximum_exceeds": "warn"}
    values = aws_values()
    values["node_pools"][0]["max_nodes"] = 20
    values["models"].append({**values["models"][0], "name": "more"})
    write(root, {**values, "budget": budget})
    text = difference(root, capsys)
    # The bill is above 100 $/month under expected load, and at most.
    assert first_line(text).endswith("; `more` is new; 2 new warnings")
    assert "| new model | `more` |" in text


def test_a_warning_of_a_renamed_model_is_the_same_warning(root: Path, capsys: pytest.CaptureFixture[str]):
    spot = {"node_pools.1.capacity": ["on-demand", "spot"], "models.1.drain_seconds": 300}
    write(root, merged(aws_values(), spot))
    commit(root)
    write(root, merged(aws_values(), {**spot, "models.1.name": "assistant"}))
    text = difference(root, capsys)
    assert "New warning" not in text
    assert "No longer" not in text
