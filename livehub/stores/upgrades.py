"""Files of earlier versions: each step makes of one schema the next, in one transaction.

A step is never changed once it was released, and names in full what it needs: `schema.py` goes on, and the files that
somebody still has do not. A test holds that an old file comes out as a new one is made.
"""

from __future__ import annotations

import logging
from pathlib import Path

import apsw

from livehub.errors import StoreError

STEPS = {
    # What is looked up by its name goes through tails; a room's facts stand among the deliveries; keys in sorted runs.
    1: """
insert into delivery(audience, seq) select '=' || room, seq from fact order by room, seq;
drop index fact_room;
create table delivery_tail(place integer primary key, audience text not null, seq integer not null);
alter table key rename to key_before;
create table key(
    since_ms integer not null, user text not null, key text not null, digest blob not null, ack blob not null,
    at_ms integer not null, primary key (since_ms, user, key)
) without rowid;
create table key_tail(
    place integer primary key, user text not null, key text not null, digest blob not null, ack blob not null,
    at_ms integer not null
);
insert into key(since_ms, user, key, digest, ack, at_ms)
select at_ms / 600000 * 600000, user, key, digest, ack, at_ms from key_before order by 1, user, key;
drop table key_before;
""",
}
"""By the schema that a step begins with."""

log = logging.getLogger(__name__)


def upgrade(connection: apsw.Connection, file: Path, version: int) -> None:
    """Bring a log up to date; nothing happens to one that is. What fails leaves it as it was, and raises.

    `StoreError` when there is no room for it.
    """
    found = connection.pragma("user_version")
    assert isinstance(found, int)
    if found == version:
        return
    log.warning("bringing %s up to date (schema %d to %d): earlier versions cannot open it then", file, found, version)
    try:
        with connection:
            for step in range(found, version):
                connection.execute(STEPS[step])
            connection.pragma("user_version", version)
    except (apsw.FullError, apsw.CantOpenError, apsw.IOError) as error:
        raise StoreError(
            f"cannot bring {file} up to date (schema {found} to {version}): {error}. It is as it was, and the version "
            "that wrote it still opens it. There must be room for it twice more, beside it and for temporary files"
        ) from error
