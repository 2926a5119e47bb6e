"""A recorder's lines, added up in a book, are the run."""

import orjson

from loadtest.measure.book import Book
from loadtest.measure.recorder import Recorder
from loadtest.measure.result import Asks, RunInfo

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


def test_reset_forgets_what_was_recorded() -> None:
    recorder = Recorder()
    recorder.latency("ack", "x", 1)
    recorder.count("connects")
    recorder.reset()
    line = orjson.loads(recorder.take(1 * S))
    assert (line["hdr"], line["counters"]) == ({}, {})
    recorder.ledger.joined("main", 1, 0).heard(1, 1, 2_001)
    assert "fanout" in orjson.loads(recorder.take(2 * S))["hdr"]


def two_processes() -> tuple[Recorder, Recorder, Book]:
    return Recorder(), Recorder(), Book(0)


def test_the_last_receiver_is_the_slowest_of_all_processes() -> None:
    one, two, book = two_processes()
    one.ledger.joined("main", 1, 0).heard(7, S, S + 5_000_000)
    two.ledger.joined("main", 2, 0).heard(7, S, S + 90_000_000)
    for at_s in (2, 12, 40):
        book.add(0, one.take(at_s * S), at_s * S)
        book.add(1, two.take(at_s * S), at_s * S)
    last = book.now().latencies["last"]["chat.message.new"]
    assert last.count == 1
    assert abs(last.max - 90_000) < 100
    assert book.now().latencies["fanout"]["chat.message.new"].count == 2
    assert book.delivery().percent == 100


def test_acked_and_never_seen_in_a_process_is_lost_for_each_of_its_members() -> None:
    one, two, book = two_processes()
    one.ledger.joined("main", 1, 0).heard(7, S, S + 1_000)
    for user in (2, 3, 4):
        two.ledger.joined("main", user, 0)
    two.ledger.joined("main", 5, 2 * S)  # came later
    one.ledger.acked("main", 7, S)
    for at_s in (2, 12, 40):
        book.add(0, one.take(at_s * S), at_s * S)
        book.add(1, two.take(at_s * S), at_s * S)
    assert book.delivery().lost == 3
    book.add(1, two.take(41 * S, final=True), 41 * S)
    assert book.result(RunInfo()).delivery.lost == 3


def test_the_verdict_waits_for_those_who_may_recover_and_is_taken_back_if_it_comes_later() -> None:
    one, two, book = two_processes()
    one.ledger.joined("main", 1, 0).heard(7, S, S + 1_000)
    away = two.ledger.joined("main", 2, 0)
    away.cut(S // 2)
    for at_s in (2, 12, 40):
        book.add(0, one.take(at_s * S), at_s * S)
        book.add(1, two.take(at_s * S), at_s * S)
    assert book.delivery().lost == 0
    for at_s in (100, 200):
        book.add(0, one.take(at_s * S), at_s * S)
        book.add(1, two.take(at_s * S), at_s * S)
    assert book.delivery().lost == 1
    away.heard(7, S, 201 * S)
    book.add(1, two.take(202 * S), 202 * S)
    assert book.delivery().lost == 0


def test_the_book_sorts_counters_into_asks_and_seconds() -> None:
    recorder, book = Recorder(), Book(0)
    recorder.gauge("users", 5)
    recorder.count("sent.chat.message.send", 3)
    recorder.count("acked.chat.message.send", 1)
    recorder.count("refused.chat.message.send.RATE_LIMITED", 2)
    recorder.latency("ack", "chat.message.send", 1_000)
    book.add(0, recorder.take(S), S + 1)
    book.server_sample(0.5, 80.0, S + 2)
    recorder.count("sent.chat.message.send", 1)
    book.add(0, recorder.take(2 * S), 2 * S + 1)
    snapshot = book.now()
    assert snapshot.asks == {"chat.message.send": Asks(sent=4, acked=1, refused={"RATE_LIMITED": 2})}
    assert (snapshot.moment.t, snapshot.moment.sent, snapshot.moment.refused, snapshot.users) == (1, 3, 2, 5)
    assert (snapshot.moment.ack_p50, snapshot.moment.fanout_p50, snapshot.moment.server_cpu) == (1_000, None, 0.5)
    result = book.result(RunInfo(), failures=["totals differ"])
    assert [moment.sent for moment in result.timeline] == [3, 1]
    assert result.exit_code == 1


def test_a_late_generator_makes_the_result_invalid() -> None:
    recorder, book = Recorder(), Book(0)
    for second in range(1, 11):
        recorder.gauge("cpu", 0.95)
        recorder.gauge("lag_ms", 3)
        book.add(4, recorder.take(second * S), second * S)
    result = book.result(RunInfo())
    assert not result.valid
    assert "process 4" in result.invalid_because[0]
    assert result.exit_code == 2


def test_reset_begins_the_book_anew() -> None:
    recorder, book = Recorder(), Book(0)
    recorder.count("sent.x")
    book.add(0, recorder.take(S), S)
    book.reset(5 * S)
    assert book.now().counters == {}
    book.add(0, recorder.take(6 * S), 6 * S)
    assert book.result(RunInfo()).timeline[0].t == 1
