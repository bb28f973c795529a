from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from local.engine.reply import MEDIAN_LENGTH, ReplyText, drawn_length, first_stop, mix


def test_a_reply_says_what_it_is():
    assert ReplyText(1).text(0, 5) == "This reply is emulated:"


@given(st.integers(0, 2**64 - 1), st.integers(0, 60), st.integers(0, 60))
def test_a_reply_can_be_read_in_pieces(key: int, start: int, length: int):
    reply = ReplyText(key)
    end = start + length
    assert reply.text(0, start) + reply.text(start, end) == reply.text(0, end)


def test_other_keys_give_other_words():
    assert len({ReplyText(key).text(0, 40) for key in range(50)}) == 50


def test_lengths_follow_the_documented_distribution():
    lengths = sorted(drawn_length(mix(key)) for key in range(4000))
    assert abs(statistics.median(lengths) / MEDIAN_LENGTH - 1) < 0.1
    assert abs(statistics.fmean(lengths) / 213 - 1) < 0.1
    assert lengths[0] >= 1


def test_a_stop_string_may_span_tokens():
    text = ReplyText(7).text(0, 40)
    stop = text[50:58]
    hit = first_stop(ReplyText(7), 40, [stop], 0)
    assert hit is not None
    assert hit.characters == text.index(stop)
    assert ReplyText(7).text(0, hit.tokens)[hit.characters :].startswith(stop)
    assert stop not in ReplyText(7).text(0, hit.tokens - 1)


def test_the_earliest_of_several_stops_counts():
    hit = first_stop(ReplyText(3), 10, ["emulated", "reply"], 0)
    assert hit is not None
    assert (hit.stop, hit.tokens, hit.characters) == ("reply", 2, 5)


def test_stops_are_looked_for_after_the_minimum_only():
    assert first_stop(ReplyText(3), 10, ["reply"], 5) is None
    assert first_stop(ReplyText(3), 10, [], 0) is None
