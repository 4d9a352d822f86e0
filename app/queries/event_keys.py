"""The keys of raw events as an array, and which event has which of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.months import Ints
from app.models.events import EventKey
from app.queries.ids import BATCH

KEY_BYTES = 16
FETCHED_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True)
class ArrivedKeys:
    """The keys of events up to and with the id `end`, each once and in their order, with the first event of each.

    `repeats` are the ids of the others.
    """

    keys: NDArray[np.uint8]  # n x 16
    ids: Ints
    repeats: Ints
    end: int

    def rows(self, part: slice) -> list[tuple[bytes, int]]:
        packed = self.keys[part].tobytes()
        keys = (packed[at : at + KEY_BYTES] for at in range(0, len(packed), KEY_BYTES))
        return list(zip(keys, self.ids[part].tolist(), strict=True))


def read_event_keys(session: Session, *, after: int, horizon: int, most: int) -> ArrivedKeys:
    """Those of the next events above the id `after`, at most so many of them."""
    connection: Any = session.connection().connection  # the driver's own: there is a row of each event
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    cursor = connection.cursor() if is_sqlite else connection.cursor(binary=True)
    mark = "?" if is_sqlite else "%s"
    statement = f"SELECT event_key, id FROM usage_events WHERE id > {mark} AND id <= {mark} ORDER BY id LIMIT {mark}"  # noqa: S608
    cursor.execute(statement, (after, horizon, most))
    packed, numbers = bytearray(), [np.zeros(0, dtype=np.int64)]
    while rows := cursor.fetchmany(FETCHED_AT_ONCE):
        packed += b"".join([key for key, _ in rows])
        numbers.append(np.array([number for _, number in rows], dtype=np.int64))
    cursor.close()
    ids = np.concatenate(numbers)
    halves = np.frombuffer(packed, dtype=">u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))  # stable: of equal keys the first to arrive comes first
    is_repeat = np.zeros(len(ids), dtype=bool)
    is_repeat[1:] = (halves[order][1:] == halves[order][:-1]).all(axis=1)
    first = order[~is_repeat]
    end = int(ids[-1]) if len(ids) == most else horizon
    return ArrivedKeys(halves[first].view(np.uint8), ids[first], ids[order[is_repeat]], end)


def find_key_owners(session: Session, keys: Sequence[bytes]) -> dict[bytes, int]:
    """The id of the event that took each of the keys, as far as they are taken."""
    found: dict[bytes, int] = {}
    for start in range(0, len(keys), BATCH):
        statement = select(EventKey.event_key, EventKey.event_id).where(
            EventKey.event_key.in_(keys[start : start + BATCH])
        )
        found |= {bytes(key): number for key, number in session.execute(statement)}
    return found
