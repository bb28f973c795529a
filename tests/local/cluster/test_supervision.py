from __future__ import annotations

from configparser import RawConfigParser
from pathlib import Path

import pytest

from local.cluster import supervision
from local.cluster.supervision import Program, configuration


def parsed(*programs: Program) -> RawConfigParser:
    parser = RawConfigParser()
    parser.read_string(configuration(programs))
    return parser


def test_every_program_restarts_and_has_a_log_of_its_own() -> None:
    text = parsed(Program("one", ("/bin/one",), 1), Program("two", ("/bin/two",), 2))
    for name in ("one", "two"):
        section = text[f"program:{name}"]
        assert section["autorestart"] == "true"
        assert section["stdout_logfile"] == str(supervision.LOGS / f"{name}.log")
        # They are started by us, in order, once what they need is there.
        assert section["autostart"] == "false"


def test_percent_signs_and_spaces_survive() -> None:
    program = Program("one", ("/a folder/one", "--rate=5%"), 1, environment={"FORMAT": "%d"})
    section = parsed(program)["program:one"]
    assert section["command"] == '"/a folder/one" --rate=5%%'
    assert section["environment"] == 'FORMAT="%%d"'


def test_every_process_carries_the_marker_by_which_it_is_found_again() -> None:
    assert f'LLM_PLATFORM_PROCESS_OF="{supervision.STATE}"' in parsed()["supervisord"]["environment"]


def test_the_socket_moves_out_of_a_folder_that_is_too_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    assert supervision.socket_path() == supervision.STATE / "supervisor.sock"
    monkeypatch.setattr(supervision, "STATE", Path("/" + "deep/" * 30))
    assert len(str(supervision.socket_path())) <= supervision.SOCKET_PATH_LIMIT
