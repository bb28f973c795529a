"""The emulator against what real vLLMs showed when local/engine/comparison/observed was written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from local.engine.comparison import metric_families, observations
from local.engine.comparison.asked import tools
from local.engine.comparison.differences import KnownDifference, all_differences, judge, known_differences
from local.engine.comparison.environment import RELEASES, EnvironmentUnavailable, Release, release_named
from local.engine.comparison.exchanges import Shape, apart, differences, with_alternatives
from local.engine.comparison.observations import Observed, read_observed, write_observed
from local.engine.comparison.observing import observed_emulator
from local.engine.comparison.report import report
from local.engine.comparison.sessions import GENERAL_EXCHANGES, sessions
from local.engine.comparison.tiny_model import ADDED_IDS, ADDED_TOKENS, byte_alphabet, write_tiny_model
from local.engine.flags import kept_rows

PAGE = """\
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="m"} 3.0
# TYPE vllm:delay histogram
vllm:delay_bucket{engine="0",le="0.5",model_name="m"} 1.0
vllm:delay_bucket{engine="0",le="+Inf",model_name="m"} 1.0
vllm:delay_count{engine="0",model_name="m"} 1.0
vllm:delay_sum{engine="0",model_name="m"} 0.2
"""


@pytest.fixture(scope="module")
def emulated() -> Observed:
    return observed_emulator(sessions())


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.version)
def test_the_emulator_differs_from_vllm_only_where_it_says_so(release: Release, emulated: Observed):
    found = all_differences(read_observed(release), emulated, release)
    verdict = judge(found, release, known_differences())
    assert dict(verdict.unexpected) == {}
    assert verdict.gone == ()


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.version)
def test_the_observation_is_of_a_whole_vllm(release: Release, emulated: Observed):
    real = read_observed(release)
    assert len([name for name in real.idle if name.startswith("vllm:")]) > 60
    assert set(real.answers) == set(emulated.answers)


def test_a_difference_is_found():
    release = RELEASES[0]
    real = read_observed(release)
    name = "vllm:time_to_first_token_seconds"
    changed = replace(real.idle[name], buckets=("0.1", "+Inf"), type="summary")
    other = Observed({**real.idle, name: changed}, real.used, real.answers)
    found = all_differences(real, other, release)
    assert set(found) == {f"idle metric {name} buckets", f"idle metric {name} type"}
    missing = Observed(real.idle, {}, real.answers)
    assert len(all_differences(real, missing, release)) == len(real.used)


@pytest.mark.parametrize("aspect", ["status", "content_type", "headers", "body"])
def test_every_aspect_of_an_answer_is_compared(aspect: str):
    seen = Shape(400, "application/json", "vary: Origin", "{}")
    other = replace(seen, **{aspect: 0 if aspect == "status" else "other"})
    assert set(differences({"x": seen}, {"x": other})) == {f"answer to x: {aspect}"}


def test_an_answer_that_is_a_matter_of_chance_may_be_any_that_was_seen():
    silent, error, clean = (Shape(0, "", "", body) for body in ("silence", "error", "clean"))
    kept = with_alternatives(silent, with_alternatives(error, None))
    assert with_alternatives(error, kept) == kept
    for emulated, differs in ((silent, False), (error, False), (clean, True)):
        assert bool(differences({"x": kept}, {"x": emulated})) is differs


NAME = {"index": 0, "id": "c", "function": {"name": "f"}}
ARGUMENTS = {"index": 0, "function": {"arguments": "{}"}}


def streamed(delta: dict[str, object], **last: object) -> dict[str, object]:
    return {"choices": [{"delta": delta, "finish_reason": None, **last}]}


@pytest.mark.parametrize(
    ("event", "parts"),
    [
        (streamed({"content": "a"}), [streamed({"content": "a"})]),
        (
            streamed({"reasoning": "a", "content": "b"}),
            [streamed({"reasoning": "a"}), streamed({"content": "b"})],
        ),
        (
            streamed({"tool_calls": [{**NAME, "function": {"name": "f", "arguments": "{}"}}]}),
            [streamed({"tool_calls": [NAME]}), streamed({"tool_calls": [ARGUMENTS]})],
        ),
        (
            streamed({"tool_calls": [ARGUMENTS]}, finish_reason="stop", stop_reason=None),
            [streamed({"tool_calls": [ARGUMENTS]}), streamed({}, finish_reason="stop", stop_reason=None)],
        ),
        ({"choices": [], "usage": {}}, [{"choices": [], "usage": {}}]),
    ],
    ids=["words", "thoughts and words", "name and arguments", "arguments and end", "usage"],
)
def test_events_put_together_by_a_busy_machine_are_told_apart(
    event: dict[str, object], parts: list[dict[str, object]]
):
    assert apart(event) == parts


def test_what_a_later_release_adds_is_left_out_and_nothing_else():
    first, later = RELEASES
    body = "{choices: [{a: null, weight_versions: null}], kv_transfer_params: null, b: null}"
    event = "{choices: [{a: null}], kv_transfer_params: null}\n[DONE]"
    assert first.without_additions(body) == body
    assert later.without_additions(body) == "{choices: [{a: null}], kv_transfer_params: null, b: null}"
    assert later.without_additions(event) == "{choices: [{a: null}]}\n[DONE]"


def test_known_differences_are_judged_by_pattern_and_release():
    first, later = RELEASES
    everywhere = KnownDifference(differs=("answer to a*: body",), reason="because")
    once = KnownDifference(differs=("metric b",), reason="why not", releases=(later.version,))
    found = {"answer to ab: body": "x", "answer to ab: status": "y", "metric b": "z"}
    verdict = judge(found, first, (everywhere, once))
    assert set(verdict.unexpected) == {"answer to ab: status", "metric b"}
    assert verdict.reasons == {"answer to ab: body": "because"}
    assert set(judge(found, later, (everywhere, once)).unexpected) == {"answer to ab: status"}
    assert judge({}, later, (everywhere, once)).gone == ("answer to a*: body", "metric b")


def test_an_observation_is_kept_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = {release: read_observed(release) for release in RELEASES}
    monkeypatch.setattr(observations, "OBSERVED", tmp_path)
    for release in RELEASES:
        write_observed(release, "2026-12-01", whole[release])
    assert {release: read_observed(release) for release in RELEASES} == whole
    first, later = ((tmp_path / f"{release.version}.json").stat().st_size for release in RELEASES)
    assert later < first


def test_requests_have_names_of_their_own():
    for exchanges in (GENERAL_EXCHANGES, (*tools.TOOLS, *tools.CALLS, *tools.THOUGHTS)):
        names = [exchange.name for exchange in exchanges]
        assert len(names) == len(set(names))
    assert len(GENERAL_EXCHANGES) > 300


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.version)
def test_the_report_has_a_row_for_every_request(release: Release):
    real = read_observed(release)
    name = next(iter(real.answers))
    found = {f"answer to {name}: body": "x"}
    text = report(release, judge(found, release, ()), (), real)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == len(real.answers) + 1
    assert sum("**different**: body" in row for row in rows) == 1


def test_the_tables_of_flags():
    first, later = ({row["options"][0]: row for row in kept_rows(release.version)} for release in RELEASES)
    assert len(first) == 316
    assert set(later) - set(first) == {
        "--monokernel",
        "--reasoning-effort-map",
        "--sleep-mode-backend",
        "--watchdog-config",
    }
    assert set(first) <= set(later)
    assert "--disable-prefix-caching" in later["--enable-prefix-caching"]["options"]
    assert "--no-enable-prefix-caching" in first["--enable-prefix-caching"]["options"]


def test_a_release_is_found_by_either_name():
    assert release_named("0.33") is release_named("0.33.0")
    with pytest.raises(EnvironmentUnavailable, match=r"0\.31.*0\.32, 0\.33"):
        release_named("0.31")


def test_families_of_a_page():
    found = metric_families.families(PAGE)
    assert found["vllm:delay"].buckets == ("0.5", "+Inf")
    assert found["vllm:delay"].labels == ("engine", "model_name")
    assert found["vllm:prompt_tokens"].type == "counter"
    assert metric_families.from_data(metric_families.as_data(found)) == found


def test_known_differences_have_reasons():
    assert all(len(difference.reason) > 30 for difference in known_differences())


def test_the_tiny_models_tokenizer_has_a_token_for_every_character(tmp_path: Path):
    assert len(set(byte_alphabet())) == 128
    folder = write_tiny_model(tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    assert config["vocab_size"] == len(vocabulary) == 134
    assert [vocabulary[token] for token in ADDED_TOKENS] == list(ADDED_IDS)
