"""Teams: people of a session who play together, and the leaderboard of their teams (contract 1, §9.3).

A person is in one team at most. A team's score is the sum of what its members of now have earned in the session, so
points go with a person who changes teams, and come with one who joins late. An empty team stays: others may join it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, TypedDict

from livehub.feature import (
    JSON,
    Ask,
    Emits,
    Empty,
    Fact,
    Feature,
    Outcome,
    Person,
    Refused,
    Text,
    Uuid,
    applies,
    changing,
    command,
    payload,
    reading,
    view,
)

NAME_CHARS_MAX = 60
TEAMS_PER_SESSION_MAX = 200


@payload
class CreateTeam:
    """What `team.create` and `POST /api/sessions/{id}/teams` take."""

    name: Annotated[str, Text(NAME_CHARS_MAX)]


@payload
class JoinTeam:
    """Contracts, point 19."""

    team_id: Uuid


class NewTeam(TypedDict):
    """The team that was made."""

    teamId: str
    name: str


class OneTeam(TypedDict):
    """Which team an ask was about."""

    teamId: str


class TeamScore(TypedDict):
    """One line; equal scores share a rank, and the next rank counts them all (1, 1, 3)."""

    rank: int
    teamId: str
    name: str
    memberCount: int
    score: int


class TeamLeaderboard(TypedDict):
    """Contract 1, §9.3."""

    teamScores: list[TeamScore]


class TeamsSeen(TeamLeaderboard):
    """All teams, and which one the asker is in."""

    myTeamId: str | None


class TeamsSnapshot(TypedDict):
    """All teams by score, and which one the receiver is in."""

    teams: TeamsSeen


@dataclass(slots=True)
class Team:
    """One team. How many members it has and what they earned is kept up to date, not added up for each look."""

    id: str
    name: str
    member_count: int = 0
    score: int = 0


@dataclass
class Teams(Feature):
    """The teams of one session."""

    name: ClassVar[str] = "teams"
    emits = (Emits("team.leaderboard.updated", TeamLeaderboard, "All teams by score, at most 4 times a second."),)

    teams: dict[str, Team] = field(default_factory=dict)  # in the order they were made
    names: set[str] = field(default_factory=set)  # as they are compared
    team_of: dict[str, str] = field(default_factory=dict)  # person → team
    points: dict[str, int] = field(default_factory=dict)  # person → points, in a team or not

    @command("team.create", rate="10/10s", returns=NewTeam)
    def create(self, ask: Ask[CreateTeam]) -> Outcome:
        """Make a team and join it."""
        if (team_id := self.team_of.get(ask.who.id)) is not None:
            raise self._in_team(team_id)
        made = self._made(ask)
        data = {"teamId": made.data["teamId"], "userId": ask.who.id}
        return Outcome([made, Fact("team.joined", data)], _shown(made))

    @changing(
        "team.add",
        needs="sessions:manage",
        returns=NewTeam,
        rest="POST /sessions/{sessionId}/teams 201",
    )
    def add(self, ask: Ask[CreateTeam]) -> Outcome:
        """Make a team that others may join."""
        made = self._made(ask)
        return Outcome([made], _shown(made))

    @command("team.join", rate="10/10s", returns=OneTeam)
    def join(self, ask: Ask[JoinTeam]) -> Outcome:
        """Join a team; joining one's own team again is no error."""
        team_id = ask.payload.team_id
        if team_id not in self.teams:
            raise Refused("Team not found", 404, code="not_found")
        mine = self.team_of.get(ask.who.id)
        if mine == team_id:
            return Outcome(reply={"teamId": team_id})
        if mine is not None:
            raise self._in_team(mine)
        return Outcome([Fact("team.joined", {"teamId": team_id, "userId": ask.who.id})], {"teamId": team_id})

    @command("team.leave", rate="10/10s", returns=OneTeam)
    def leave(self, ask: Ask[Empty]) -> Outcome:
        """Leave one's team. The team stays, also when it is empty."""
        team_id = self.team_of.get(ask.who.id)
        if team_id is None:
            raise Refused("You are not in a team", 409, code="conflict")
        return Outcome([Fact("team.left", {"teamId": team_id, "userId": ask.who.id})], {"teamId": team_id})

    @reading(
        "team.read",
        rate="60/10s",
        returns=TeamsSeen,
        rest="GET /sessions/{sessionId}/teams",
    )
    def read(self, ask: Ask[Empty]) -> Outcome:
        """Show all teams by score, and which one the asker is in."""
        return Outcome(reply={**self._seen(ask.who)})

    @view("team.leaderboard.updated", after=("team.created", "team.joined", "team.left", "gamification.points.awarded"))
    def updated(self, key: str) -> JSON:
        """All teams by score; nothing while there are none."""
        return {"teamScores": self._scores()} if self.teams else None

    def snapshot(self, who: Person) -> TeamsSnapshot:
        """All teams by score, and which one this person is in."""
        return {"teams": self._seen(who)}

    @applies("team.created")
    def _on_created(self, data: dict[str, JSON], at_ms: int) -> None:
        self.teams[data["teamId"]] = Team(data["teamId"], data["name"])
        self.names.add(data["name"].casefold())

    @applies("team.joined")
    def _on_joined(self, data: dict[str, JSON], at_ms: int) -> None:
        team, user_id = self.teams[data["teamId"]], data["userId"]
        self.team_of[user_id] = team.id
        team.member_count += 1
        team.score += self.points.get(user_id, 0)

    @applies("team.left")
    def _on_left(self, data: dict[str, JSON], at_ms: int) -> None:
        team, user_id = self.teams[data["teamId"]], data["userId"]
        del self.team_of[user_id]
        team.member_count -= 1
        team.score -= self.points.get(user_id, 0)

    @applies("gamification.points.awarded")
    def _on_awarded(self, data: dict[str, JSON], at_ms: int) -> None:
        user_id, points = data["userId"], data["points"]
        self.points[user_id] = self.points.get(user_id, 0) + points
        if (team_id := self.team_of.get(user_id)) is not None:
            self.teams[team_id].score += points

    def _made(self, ask: Ask[CreateTeam]) -> Fact:
        """The fact of a new team. Raises `Refused`."""
        name = ask.payload.name.strip()
        if name.casefold() in self.names:
            raise Refused("A team with this name exists already", 409, code="conflict")
        if len(self.teams) >= TEAMS_PER_SESSION_MAX:
            raise Refused(f"A session has at most {TEAMS_PER_SESSION_MAX} teams", 409, code="too_many")
        return Fact("team.created", {"teamId": ask.new_id(), "name": name, "by": ask.who.id})

    def _in_team(self, team_id: str) -> Refused:
        name = self.teams[team_id].name
        return Refused(f"You are in the team {name} already, leave it first", 409, code="conflict")

    def _scores(self) -> list[TeamScore]:
        scores: list[TeamScore] = []
        rank = 1
        for place, team in enumerate(sorted(self.teams.values(), key=lambda team: -team.score), 1):
            if scores and team.score < scores[-1]["score"]:
                rank = place
            scores.append(
                TeamScore(rank=rank, teamId=team.id, name=team.name, memberCount=team.member_count, score=team.score)
            )
        return scores

    def _seen(self, who: Person) -> TeamsSeen:
        return {"teamScores": self._scores(), "myTeamId": self.team_of.get(who.id)}


def _shown(made: Fact) -> dict[str, JSON]:
    return {"teamId": made.data["teamId"], "name": made.data["name"]}
