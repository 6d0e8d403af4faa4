"""Which bucket a recipient lives in, and the ids that follow from it.

Every row of a recipient, their conversations, history and messages, lies in one bucket: one of 64 constants, chosen
by a hash of the recipient's key. The constants spread evenly over the hash range of a sharded PostgreSQL (Citus) at
every power-of-two shard count up to 64, which 0…63 would not.

Ids are derived, not drawn: the same key always has the same recipient id, and the same key in the same campaign the
same conversation id. That makes enrolment idempotent by primary key alone, and lets a reply find its conversation
without a lookup. The last byte of an id is the index of its bucket; the first four of a conversation id belong to
its campaign, so a campaign's conversations lie side by side in the primary key.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from uuid import UUID

BUCKETS = (
    60, 8, 82, 1, 31, 88, 79, 24, 10, 92, 48, 109, 5, 112, 50, 166, 4, 7, 17, 172, 16, 96, 170, 85, 36, 89, 19, 0, 37,
    45, 101, 3, 113, 52, 62, 99, 136, 168, 46, 28, 6, 66, 70, 21, 83, 39, 43, 13, 2, 351, 27, 95, 58, 149, 41, 179, 9,
    80, 59, 22, 12, 11, 44, 18,
)  # fmt: skip


def bucket_of_key(key: str) -> int:
    """The bucket of the recipient called `key`."""
    return BUCKETS[_index(key)]


def bucket_of(id: UUID) -> int | None:
    """The bucket of a recipient or conversation id; None when it cannot be an id of ours."""
    index = id.int & 0xFF
    return BUCKETS[index] if index < len(BUCKETS) else None


def recipient_id(key: str) -> UUID:
    """The id of the recipient called `key`."""
    return UUID(_hex(sha256(b"recipient\0" + key.encode()).hexdigest(), _index(key)))


def conversation_id(campaign_id: UUID, key: str) -> UUID:
    """The id of the conversation with the recipient called `key` in the campaign."""
    digest = sha256(campaign_id.bytes + key.encode()).hexdigest()
    return UUID(_hex(_prefix(campaign_id).hex() + digest, _index(key)))


def hex_ids(campaign_id: UUID, key: str) -> tuple[int, str, str]:
    """The bucket, recipient id and conversation id of a key, the ids in hexadecimal: for enrolling many at once.

    >>> bucket, recipient, conversation = hex_ids(UUID(int=7), "ann")
    >>> UUID(recipient) == recipient_id("ann"), UUID(conversation) == conversation_id(UUID(int=7), "ann")
    (True, True)
    """
    name, index = key.encode(), _index(key)
    recipient = sha256(b"recipient\0" + name).hexdigest()
    conversation = _prefix(campaign_id).hex() + sha256(campaign_id.bytes + name).hexdigest()
    return BUCKETS[index], _hex(recipient, index), _hex(conversation, index)


def campaign_range(campaign_id: UUID) -> tuple[UUID, UUID]:
    """The first and last conversation id a campaign can have; a few of another campaign may lie between."""
    prefix = _prefix(campaign_id)
    return UUID(bytes=prefix + bytes(12)), UUID(bytes=prefix + b"\xff" * 12)


def _index(key: str) -> int:
    return sha256(key.encode()).digest()[0] % len(BUCKETS)


@lru_cache(maxsize=1024)
def _prefix(campaign_id: UUID) -> bytes:
    return sha256(b"campaign\0" + campaign_id.bytes).digest()[:4]


def _hex(digest: str, index: int) -> str:
    """The start of `digest` as a UUID of version 8 (RFC 9562: free form) with the bucket's index as its last byte."""
    return f"{digest[:12]}8{digest[13:16]}{_VARIANT[digest[16]]}{digest[17:30]}{index:02x}"


_VARIANT = {digit: "89ab"[value & 3] for value, digit in enumerate("0123456789abcdef")}
