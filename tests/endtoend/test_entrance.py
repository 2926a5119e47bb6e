"""Who is let in on `/events`, and what the others are told (contracts, points 2, 3 and 14)."""

from __future__ import annotations

import pytest

from tests.endtoend.stage import Stage


async def test_a_valid_token_is_acknowledged_with_the_users_id(stage: Stage) -> None:
    ada = await stage.enter("ada", joined=False)
    assert (await ada.heard("connectionAcknowledged"))[0] == {"userId": stage.id_of("ada")}
