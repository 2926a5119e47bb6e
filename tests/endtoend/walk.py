"""A walk through everything that people can do in an event, with every event said and every change of REST made.

It leaves each feature in a rich state: open and closed polls, questions of every kind, messages edited and deleted,
alerts that are pinned and that have ended. Every text of it is a secret from somebody (`People.plant`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from tests.endtoend.people import IN_EVENT, MODERATORS, PUBLISHERS, SEATED, VISITOR, WATCHERS, People

REMINDED_BEFORE = timedelta(minutes=15)
REMINDED_AFTER_S = 3.0
"""From the planning of the session to its first reminder."""
SECRET_POLL, CLOSED_POLL = 0, 2
"""Places in the list of all polls."""
FIGURES = {"totalMessages": 5, "pollVotes": 7, "questionsAsked": 6, "questionUpvotes": 1, "reactions": 3}
"""What a dashboard shows of it in the end."""
EVERYBODY_THEN = SEATED - {"late"}
CUT_OFF = ("cut", "deputy")
CONNECTED = (*(SEATED - {"late"}), "guest", "analyst", "outsider", "nowhere", "blocked")


async def walk(people: People) -> None:
    """Let everybody do everything."""
    await _prepare(people)
    await _gather(people)
    await _react(people)
    await _chat(people)
    await _prepare_polls(people)
    await _poll(people)
    await _ask(people)
    await _ask_first(people)
    await _write(people)
    await _play(people)
    await _present(people)
    await _watch(people)
    await _alert(people)
    await _come_and_go(people)


async def _prepare(people: People) -> None:
    """What a backend does before an event."""
    event, session = people.event, people.session
    title = people.plant("the title of the event", IN_EVENT)
    people.plant("whose the event is", IN_EVENT | WATCHERS | PUBLISHERS, text=people.org)
    await people.sends("owner", "event.create", {"id": event, "title": title, "orgId": people.org})
    title = people.plant("the title of the session", IN_EVENT | SEATED | PUBLISHERS)
    made = await people.sends("owner", "session.create", {"id": session, "eventId": event, "title": title})
    people.plant("the code of the session", SEATED, text=made["slug"])
    await people.sends("owner", "session.update", {"title": f"{title} II"}, sessionId=session)
    await people.sends("owner", "session.start", sessionId=session)
    await people.gets_in(made["slug"])
    await people.sends("owner", "session.create", {"id": f"past-{session}"})
    await people.sends("owner", "session.end", sessionId=f"past-{session}")
    person = {"firstName": "Gone", "email": people.plant("the address of a person who is managed", {"owner"})}
    await people.sends("owner", "user.put", person, userId=people.id("gone"))
    await people.sends("owner", "user.deactivate", userId=people.id("gone"))
    await (await people.enters("gone")).hears("systemError")
    people.path_ids |= {"sessionId": [session, people.other], "eventId": [event, f"of-{people.other}"]}


async def _gather(people: People) -> None:
    """Everybody comes; two are cut off at once."""
    for name in CONNECTED:
        await people.enters(name)
    await people.joins(VISITOR, "session")
    for name in (*sorted(EVERYBODY_THEN - {VISITOR}), "outsider"):
        await people.joins(name, "session", "event")
    await people.joins("guest", "event")
    await people.joins("owner", "dashboard")
    await people.joins("analyst", "dashboard")
    for name in CUT_OFF:
        await people.clients[name].cut()
    await _plan(people)


async def _plan(people: People) -> None:
    knowers = IN_EVENT | PUBLISHERS
    starts = datetime.now(UTC) + REMINDED_BEFORE + timedelta(seconds=REMINDED_AFTER_S)
    times = {"startTime": starts.isoformat(), "endTime": (starts + timedelta(hours=1)).isoformat()}
    item = {
        "title": people.plant("the title on the agenda", knowers | SEATED),
        "room": people.plant("a room on the agenda", knowers),
        "description": people.plant("a description on the agenda", knowers),
        "speakers": [people.plant("a speaker on the agenda", knowers)],
        **times,
    }
    path = {"eventId": people.event}
    await people.sends("backend", "agenda.create", {"id": people.session, **item}, **path)
    await people.sends("backend", "agenda.create", {"id": people.workshop, **item}, **path)
    moved = {"room": people.plant("another room on the agenda", knowers)}
    await people.sends("backend", "agenda.change", moved, **path, sessionId=people.workshop)
    await people.sends("owner", "agenda.delete", **path, sessionId=people.workshop)


async def _react(people: People) -> None:
    for who, emoji in (("ada", "🔥"), ("bob", "🔥"), ("speaker", "👍")):
        await people.says(who, "reaction.send", emoji=emoji)


async def _chat(people: People) -> None:
    heard = people.plant("what was said in the chat", SEATED)
    first = await people.says("ada", "chat.message.send", text=heard)
    edited = people.plant("what was said before an edit", EVERYBODY_THEN)
    reply = await people.says("bob", "chat.message.send", text=edited, replyingToMessageId=first["messageId"])
    await people.says("bob", "chat.message.edit", messageId=reply["messageId"], newText=f"{heard}?")
    for who in ("bob", "owner"):
        await people.says(who, "chat.message.react", messageId=first["messageId"], emoji="👍")
    deleted = people.plant("a message that was deleted", EVERYBODY_THEN)
    gone = await people.says("ada", "chat.message.send", text=deleted)
    await people.says("bob", "chat.message.send", text=heard, replyingToMessageId=gone["messageId"])
    await people.says("ada", "chat.message.delete", messageId=gone["messageId"])
    people.path_ids["messageId"] = [first["messageId"], gone["messageId"]]


async def _prepare_polls(people: People) -> None:
    """A quiz that nobody has been asked, and an anonymous poll whose results only presenters see."""
    text, path = people.plant("a poll that was prepared", SEATED), {"sessionId": people.session}
    choices = [{"text": f"{text} {n}"} for n in range(2)]
    quiz = {"question": text, "pollType": "quiz", "options": [choices[0], {**choices[1], "isCorrect": True}]}
    quiz_id = (await people.sends("owner", "poll.add", quiz, **path))["pollId"]
    secret = {"question": text, "options": choices, "isAnonymous": True, "resultsVisibility": "never"}
    poll_id = (await people.sends("owner", "poll.add", secret, **path))["pollId"]
    edited = await people.sends("owner", "poll.edit", secret, **path, pollId=poll_id)
    await people.sends("owner", "poll.order", {"pollIds": [poll_id, quiz_id]}, **path)
    await people.sends("owner", "poll.activate", **path, pollId=poll_id)
    option_id = edited["poll"]["options"][0]["id"]
    await people.says("hidden", "poll.vote.submit", pollId=poll_id, optionId=option_id)
    await people.sends("owner", "poll.close", **path, pollId=poll_id)
    await people.sends("owner", "poll.reopen", **path, pollId=poll_id)
    await people.sends("owner", "poll.reset", {"confirm": True}, **path, pollId=quiz_id)
    people.votes["hidden"] = {option_id}
    people.path_ids["pollId"] = [poll_id, quiz_id]


async def _poll(people: People) -> None:
    """Three polls: one is closed and drawn from, one is set aside, one takes votes."""
    for creator in ("speaker", "owner", "speaker"):
        text, prize = people.plant("a poll", SEATED), people.plant("a prize", SEATED)
        choices = [{"text": f"{text} {n}"} for n in range(2)]
        poll_id = (await people.says(creator, "poll.create", question=text, options=choices))["pollId"]
        people.path_ids["pollId"].append(poll_id)
        poll = await people.clients["ada"].hears("poll.opened", partial(_named, poll_id))
        for who, option in (("ada", 0), ("voter", 1)):
            option_id = poll["options"][option]["id"]
            await people.says(who, "poll.vote.submit", pollId=poll_id, optionId=option_id)
            people.votes.setdefault(who, set()).add(option_id)
        if poll_id == people.path_ids["pollId"][CLOSED_POLL]:
            await people.says("moderator", "poll.manage", pollId=poll_id, action="close")
            drawn = {"winningOptionId": poll["options"][0]["id"], "prize": prize}
            await people.says("moderator", "poll.giveaway.start", pollId=poll_id, **drawn)
            path = f"/api/sessions/{people.session}/polls/{poll_id}/giveaways"
            giveaways = (await people.requests("moderator", "GET", path)).json()["giveaways"]
            people.plant("the seed of a giveaway", MODERATORS, text=giveaways[0]["seed"])


async def _ask(people: People) -> None:
    """Questions that are public at once."""
    mark = people.plant("a public question", SEATED)
    question = await people.says("ada", "qa.question.ask", text=f"{mark} or a casino?")  # a word that is flagged
    await people.says("bob", "qna.question.upvote", **question_id(question))
    people.upvotes["bob"] = {question["questionId"]}
    note = people.plant("a moderator's note", MODERATORS)
    approval = {"status": "approved", "moderatorNote": note}
    await people.says("moderator", "qna.question.moderate", **question_id(question), **approval)
    await people.says("owner", "qna.question.answer", **question_id(question), answerText=mark)
    await people.says("moderator", "qna.question.tag", **question_id(question), tags=[mark])
    await people.says("anonymous", "qa.question.ask", text=mark, isAnonymous=True)
    text = people.plant("a question that was withdrawn", EVERYBODY_THEN)
    withdrawn = await people.says("ada", "qa.question.ask", text=text)
    await people.says("moderator", "qna.question.moderate", **question_id(withdrawn), status="dismissed")
    people.path_ids["questionId"] = [question["questionId"], withdrawn["questionId"]]


async def _ask_first(people: People) -> None:
    """Questions that are public only once a moderator approves them."""
    await people.sends("moderator", "qa.settings", {"moderation": "pre"}, sessionId=people.session)
    text = people.plant("a question that is held", MODERATORS)
    held = await people.says("asker", "qa.question.ask", text=text)
    text = people.plant("a question that was never public", MODERATORS)
    refused = await people.says("asker", "qa.question.ask", text=text)
    note = people.plant("a note on a dismissed question", MODERATORS)
    dismissal = {"status": "dismissed", "moderatorNote": note}
    await people.says("moderator", "qna.question.moderate", **question_id(refused), **dismissal)
    text = people.plant("an anonymous question that was approved", SEATED)
    approved = await people.says("anonymous", "qa.question.ask", text=text, isAnonymous=True)
    await people.says("moderator", "qna.question.moderate", **question_id(approved), status="approved")
    await people.sends("moderator", "qa.settings", {"moderation": "post"}, sessionId=people.session)
    for unseen in (held, refused):
        await people.is_refused("bob", "qna.question.upvote", **question_id(unseen))
    people.path_ids["questionId"] += [held["questionId"], refused["questionId"]]


async def _write(people: People) -> None:
    """Direct messages, of which one waits for its recipient; and blocks."""
    text = people.plant("a direct message to bob", {"ada", "bob"})
    message = await people.says("ada", "dm.send", recipientId=people.id("bob"), text=text)
    await people.clients["bob"].hears("dm.new")
    for receipt, update in (("dm.delivered", "dm.delivery_update"), ("dm.read", "dm.read_update")):
        await people.says("bob", receipt, messageId=message["messageId"])
        await people.clients["ada"].hears(update)
    await people.says("ada", "dm.message.edit", messageId=message["messageId"], newText=f"{text}!")
    gone = await people.says("bob", "dm.send", recipientId=people.id("ada"), text=text)
    await people.clients["ada"].hears("dm.new")
    await people.says("bob", "dm.message.delete", messageId=gone["messageId"])
    text = people.plant("a direct message that waits", {"ada", "absent"})
    waits = await people.says("ada", "dm.send", recipientId=people.id("absent"), text=text)
    await people.says("bob", "dm.block", userId=people.id("blocked"))
    await people.says("bob", "dm.block", userId=people.id("outsider"))
    await people.says("bob", "dm.unblock", userId=people.id("outsider"))
    await people.is_refused("blocked", "dm.send", recipientId=people.id("bob"), text="Hello")
    people.path_ids["conversationId"] = [one["conversationId"] for one in (message, waits)]
    for talk, pair in zip(people.path_ids["conversationId"], ({"ada", "bob"}, {"ada", "absent"}), strict=True):
        people.plant("which conversation it is", pair, text=talk)


async def _play(people: People) -> None:
    name = people.plant("the name of a team", SEATED)
    await people.says("ada", "leaderboard.request")
    team_id = (await people.says("ada", "team.create", name=name))["teamId"]
    await people.says("teammate", "team.join", teamId=team_id)
    other = await people.sends("owner", "team.add", {"name": f"{name} II"}, sessionId=people.session)
    await people.says("bob", "team.join", teamId=other["teamId"])
    await people.says("bob", "team.leave")
    people.teams = {"ada": {team_id}, "teammate": {team_id}, "bob": {other["teamId"]}}


async def _present(people: People) -> None:
    mark = people.plant("a slide", SEATED | PUBLISHERS)
    urls = [f"https://example.org/{mark}/{n}" for n in range(3)]
    report = {"status": "ready", "uploaderId": people.id("uploader"), "slideUrls": urls}
    await people.sends("backend", "presentation.set", report, sessionId=people.session)
    await people.sends("backend", "presentation.remove", sessionId=people.session)
    await people.sends("backend", "presentation.set", report, sessionId=people.session)
    for action in ("START", "NEXT_SLIDE"):
        await people.says("speaker", "content.control", action=action)
    await people.says("ada", "content.request_state")
    url = f"https://example.org/{people.plant('a link', SEATED)}"
    await people.says("speaker", "content.drop", type="LINK", title="Slides", url=url)


async def _watch(people: People) -> None:
    """What only dashboards show."""
    knowers, path = WATCHERS | {"backend"}, {"eventId": people.event}
    await people.sends("backend", "dashboard.check_in", {"name": people.plant("who checked in", knowers)}, **path)
    resource = people.plant("a resource", knowers)
    counts = {"currentCount": 5, "maxCapacity": 9}
    await people.sends("backend", "dashboard.capacity.set", counts, **path, resourceId=resource)
    metrics = {"metrics": {"load": people.plant("a figure of the system", knowers)}}
    await people.sends("backend", "org.metrics.post", metrics, orgId=people.org)


async def _alert(people: People) -> None:
    """An alert that stays pinned and is confirmed, one that has ended, and a word to one person."""
    knowers, path = IN_EVENT | SEATED | PUBLISHERS, {"eventId": people.event}
    alert = {"alertType": "fire", "severity": "high", "durationS": 3_600}
    pinned = alert | {"message": people.plant("an alert", knowers), "requireAck": True}
    first = (await people.sends("owner", "emergency.publish", pinned, **path))["notificationId"]
    await people.clients["guest"].hears("notification.emergency")
    await people.says("guest", "notification.ack", notificationId=first)
    over = alert | {"message": people.plant("an alert that has ended", knowers - {"late"})}
    second = (await people.sends("backend", "emergency.publish", over, **path))["notificationId"]
    await people.sends("backend", "emergency.end", **path, notificationId=second)
    people.path_ids["notificationId"] = [first, second]
    word = {"type": "info", "title": "Hello", "message": people.plant("a word to ada", {"ada"})}
    await people.sends("backend", "notification.personal.send", word, userId=people.id("ada"))


async def _come_and_go(people: People) -> None:
    """Who was cut off comes back, somebody comes late, somebody leaves, somebody may not come any more."""
    for name in CUT_OFF:
        await people.returns(name)
    await people.enters("late")
    await people.joins("late", "session", "event")
    await people.says("uploader", "session.leave")
    await people.says("uploader", "event.leave")
    await people.says("analyst", "dashboard.leave")
    await people.joins("analyst", "dashboard")
    await people.says("ada", "chat.message.send", text=people.plant("what was said last", SEATED))


async def settle(people: People) -> None:
    """Wait for what follows within seconds: counts and figures are what they will be."""
    await people.clients["ada"].hears("notification.session_reminder")
    await people.clients["ada"].hears("reaction.burst")
    await people.clients["ada"].hears("team.leaderboard.updated")
    await people.clients["uploader"].hears("presentation.status.update")
    await people.clients["owner"].hears("notification.ack.updated", partial(shows, {"acknowledged": 1, "offline": 0}))
    await people.clients["analyst"].hears("dashboard.metrics.updated")
    await people.clients["analyst"].hears("dashboard.update", partial(shows, FIGURES))


def _named(id_: str, payload: dict[str, Any]) -> bool:
    return bool(payload["id"] == id_)


def question_id(ack: dict[str, Any]) -> dict[str, str]:
    """What names the question that an ack was about."""
    return {"questionId": ack["questionId"]}


def shows(figures: dict[str, int], payload: dict[str, Any]) -> bool:
    """Whether a payload has these figures."""
    return all(payload[name] == figure for name, figure in figures.items())
