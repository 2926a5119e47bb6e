"""A recorder's lines hold what is new. What a book makes of them is in test_book.py."""

import orjson

from loadtest.measure.recorder import Recorder

S = 1_000_000_000


def test_a_line_holds_what_is_new_and_only_that() -> None:
    recorder = Recorder()
    recorder.latency("ack", "chat.message.send", 1_500)
    recorder.count("bytes.in", 10)
    recorder.gauge("users", 3)
    first = orjson.loads(recorder.take(1 * S))
    assert list(first["hdr"]["ack"]) == ["chat.message.send"]
    assert first["counters"] == {"bytes.in": 10}
    again = orjson.loads(recorder.take(2 * S))
    assert (again["hdr"], again["counters"], again["gauges"]) == ({}, {}, {"users": 3})
    assert b"\n" not in recorder.take(3 * S)


def test_each_second_of_the_pulse_is_told_once() -> None:
    recorder = Recorder()
    recorder.second(3.5, 0.25, 0.1)
    assert orjson.loads(recorder.take(1 * S))["seconds"] == [[3.5, 0.25, 0.1]]
    assert orjson.loads(recorder.take(2 * S))["seconds"] == []
