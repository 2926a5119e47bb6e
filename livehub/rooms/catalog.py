"""What the features declare, put in the order in which rooms and the gate look it up. Built once, at the start."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from livehub.feature import EVERYONE, JSON, Command, Emits, Feature, Own
from livehub.rooms.audiences import as_part
from livehub.rooms.bindings import Bindings, bind


class DeclarationError(TypeError):
    """Two features claim the same name, or one declares what cannot be."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How a fact is shown: as which event, with which payload."""

    event: str
    render: Callable[[dict[str, JSON], str], JSON] | None
    own: Own | None = None

    def payload(self, data: dict[str, JSON], audience: str) -> JSON:
        """The event's payload for an audience, made from the fact alone: a replay has nothing else."""
        return data if self.render is None else self.render(data, as_part(audience))


class Catalog:
    """All declarations of a set of features, by room kind, command, fact kind and audience."""

    def __init__(
        self,
        features: Iterable[type[Feature]],
        settings: Mapping[str, Any] | None = None,
        *,
        share_emails: bool = False,
    ) -> None:
        self.features: dict[str, list[type[Feature]]] = defaultdict(list)
        self.commands: dict[str, Command] = {}
        self.shown: dict[str, Shown] = {}
        self.own_of_views: dict[str, Own] = {}
        self.emits: list[tuple[type[Feature], Emits]] = []
        self.audiences: dict[str, dict[str, str]] = defaultdict(dict)
        self.settings = dict(settings or {})
        self.share_emails = share_emails
        for feature in features:
            self._add(feature)
        self._bindings: dict[str, Bindings] = {}
        self.beats = {
            seconds
            for kind in self.features.values()
            for feature in kind
            for seconds, _, _ in feature.beats()
        }  # fmt: skip

    def build(self, kind: str, room_id: str) -> list[Feature]:
        """Fresh features for one room."""
        built = []
        for feature in self.features[kind]:
            settings = self.settings.get(feature.name) or (feature.Settings() if feature.Settings else None)
            built.append(feature(room_id=room_id, settings=settings, share_emails=self.share_emails))
        return built

    def bindings(self, kind: str) -> Bindings:
        """What the methods of a room of this kind answer."""
        if kind not in self._bindings:
            self._bindings[kind] = bind(self.features[kind])
        return self._bindings[kind]

    def seats(self, kind: str, can: Callable[[str], bool]) -> tuple[str, ...]:
        """Parts of a room of this kind where somebody with these permissions sits, the most privileged first."""
        parts = self.audiences[kind] or {EVERYONE: ""}
        return tuple(part for part, needs in parts.items() if not needs or can(needs))

    def _add(self, feature: type[Feature]) -> None:
        self.features[feature.room].append(feature)
        self.audiences[feature.room].update(feature.audiences)
        for command in feature.commands():
            if command.name in self.commands:
                raise DeclarationError(f"{feature.__name__}: the command {command.name!r} exists already")
            self.commands[command.name] = command
        self.own_of_views |= {view.name: view.own for view in feature.views() if view.own is not None}
        for emits in feature.emits:
            self.emits.append((feature, emits))
            for kind in emits.of or (emits.name,):
                if kind in self.shown:
                    raise DeclarationError(f"{feature.__name__}: facts {kind!r} are shown as an event already")
                self.shown[kind] = Shown(emits.name, emits.render, emits.own)
