"""Recorders' lines, added up in a book, are the run; after a reset they are the rest of it."""

from __future__ import annotations

from loadtest.measure.book import Book, Owed
from loadtest.measure.pulse import Limits
from loadtest.measure.recorder import Recorder
from loadtest.measure.result import Asks, RunInfo

S = 1_000_000_000
CHAT = "chat.message.new"


def two_processes() -> tuple[Recorder, Recorder, Book]:
    return Recorder(), Recorder(), Book(0)


def tell(book: Book, recorders: tuple[Recorder, ...], at_s: int) -> None:
    for worker, recorder in enumerate(recorders):
        book.add(worker, recorder.take(at_s * S), at_s * S)


def test_the_last_receiver_is_the_slowest_of_all_processes() -> None:
    one, two, book = two_processes()
    one.ledger.joined("main", 1, 0).heard(7, S, S + 5_000_000)
    two.ledger.joined("main", 2, 0).heard(7, S, S + 90_000_000)
    for at_s in (2, 12, 40):
        tell(book, (one, two), at_s)
    last = book.now().latencies["last"][CHAT]
    assert last.count == 1
    assert abs(last.max - 90_000) < 100
    assert book.now().latencies["fanout"][CHAT].count == 2
    assert book.delivery().percent == 100


def test_acked_and_never_seen_in_a_process_is_lost_for_each_of_its_members() -> None:
    one, two, book = two_processes()
    one.ledger.joined("main", 1, 0).heard(7, S, S + 1_000)
    for user in (2, 3, 4):
        two.ledger.joined("main", user, 0)
    two.ledger.joined("main", 5, 2 * S)  # came later
    one.ledger.acked("main", 7, S)
    for at_s in (2, 12, 40):
        tell(book, (one, two), at_s)
    assert book.delivery().lost == 3
    book.add(1, two.take(41 * S, final=True), 41 * S)
    assert book.result(RunInfo()).delivery.lost == 3


def test_the_verdict_waits_for_those_who_may_recover_and_is_taken_back_if_it_comes_later() -> None:
    one, two, book = two_processes()
    one.ledger.joined("main", 1, 0).heard(7, S, S + 1_000)
    away = two.ledger.joined("main", 2, 0)
    away.cut(S // 2)
    for at_s in (2, 12, 40):
        tell(book, (one, two), at_s)
    assert book.delivery().lost == 0
    for at_s in (100, 200):
        tell(book, (one, two), at_s)
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


def busy(limits: Limits) -> Book:
    """Ten seconds at 95 % of a core."""
    recorder, book = Recorder(), Book(0, limits)
    for second in range(1, 11):
        recorder.second(3, 0.95)
        book.add(4, recorder.take(second * S), second * S)
    return book


def test_a_late_generator_makes_the_result_invalid() -> None:
    result = busy(Limits()).result(RunInfo())
    assert not result.valid
    assert "process 4" in result.invalid_because[0]
    assert result.exit_code == 2
    assert busy(Limits(cpu=0.99)).result(RunInfo()).valid


def test_a_second_is_judged_once_however_often_lines_come() -> None:
    recorder, book = Recorder(), Book(0)
    recorder.second(500, 0.1)
    for second in range(20):
        if second:
            recorder.second(1, 0.1)
        for part in range(5):
            book.add(0, recorder.take((5 * second + part) * S // 5), (5 * second + part) * S // 5)
    assert book.invalid_because() == []
    assert [moment.lag_ms for moment in book.now().timeline][:3] == [500, 1, 1]


def test_what_was_counted_in_preparing_a_run_stays_counted() -> None:
    recorder, book = Recorder(), Book(0)
    recorder.count("sent.poll.create")
    book.add(0, recorder.take(S), S)
    book.begin(5 * S)
    recorder.count("sent.poll.create")
    book.add(0, recorder.take(6 * S), 6 * S)
    assert book.now().counters == book.totals() == {"sent.poll.create": 2}
    assert book.result(RunInfo()).timeline[0].t == 1


def test_after_a_reset_each_process_counts_from_its_own_mark_and_totals_from_the_start() -> None:
    one, two, book = two_processes()
    for recorder in (one, two):
        recorder.count("sent.x", 10)
        recorder.second(900, 0.99)
        recorder.latency("ack", "x", 5)
    book.add(0, one.take(1 * S, reset=True), 1 * S)
    one.count("sent.x", 1)  # anew already
    book.add(0, one.take(2 * S), 2 * S)
    assert book.now().counters == {"sent.x": 10}
    book.add(1, two.take(3 * S, reset=True), 3 * S)
    book.reset(3 * S)
    assert book.now().counters == {"sent.x": 1}
    two.count("sent.x", 2)
    book.add(1, two.take(4 * S), 4 * S)
    assert book.now().counters == {"sent.x": 3}
    assert book.totals() == {"sent.x": 23}
    assert book.now().latencies == {}
    assert book.result(RunInfo()).valid


def test_the_last_receivers_of_messages_from_before_a_reset_do_not_count() -> None:
    recorder, book = Recorder(), Book(0)
    member = recorder.ledger.joined("main", 1, 0)
    member.heard(7, S, S + 1_000)
    book.add(0, recorder.take(2 * S, reset=True), 2 * S)
    book.reset(2 * S)
    member.heard(8, 3 * S, 3 * S + 70_000_000)
    book.add(0, recorder.take(4 * S, final=True), 4 * S)
    last = book.result(RunInfo()).latencies["last"][CHAT]
    assert (last.count, last.max // 1_000) == (1, 70)


def test_owed_is_what_any_process_still_waits_for() -> None:
    one, two, book = two_processes()
    here, there = one.ledger.joined("main", 1, 0), two.ledger.joined("main", 2, 0)
    behind = one.ledger.joined("main", 3, 0)
    tell(book, (one, two), 1)
    assert not book.owed()
    one.ledger.acked("main", 7, 2 * S)
    here.heard(7, 2 * S, 2 * S + 1_000)
    one.gauge("waiting", one.ledger.waiting())
    two.gauge("under_way", 4)
    tell(book, (one, two), 2)
    assert book.owed() == Owed(members=1, messages=1, under_way=4)
    there.heard(7, 2 * S, 3 * S)
    behind.heard(7, 2 * S, 3 * S)
    one.gauge("waiting", one.ledger.waiting())
    two.gauge("under_way", 0)
    tell(book, (one, two), 3)
    assert not book.owed()


def test_what_was_replayed_is_among_the_totals_that_scenarios_see() -> None:
    one, _, book = two_processes()
    member = one.ledger.joined("main", 1, 0)
    member.heard(7, S, S + 1_000)
    member.cut(2 * S)
    member.resumed(True, 5 * S)
    member.heard(8, 3 * S, 5 * S)
    tell(book, (one,), 6)
    assert book.totals()["replayed"] == 1
