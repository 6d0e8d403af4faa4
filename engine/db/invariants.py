"""What must hold in every database, whoever was killed and however many worked on it at once. For tests and drills.

History has no gaps and tells where each conversation stands; the outbox holds what history says was sent off; every
emitted event belongs to a step of its conversation; what was moved by hand has its reason; no conversation sleeps
through what is to happen to it; every counter is the count of the rows it counts; and every bucket has the gate without
which nothing leaves. Each check is one statement, so it also holds while others work; it walks whole tables. Where old
history was dropped (`dropped_spans`), less can be asked: a conversation that ended has the last of its steps, without
gaps, or none, and of a campaign from that time no more is there than was counted.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.buckets import BUCKETS

_SHOWN = 10

# Before this instant history and outbox may have been dropped.
_WHOLE_SINCE = "(SELECT max(upper_at) FROM campaign_engine.dropped_spans)"

_GAPS = f"""
    WITH told AS (
        SELECT bucket, conversation_id AS id, count(*) AS rows, count(DISTINCT seq) AS steps, min(seq) AS first,
               max(seq) AS last, (array_agg(to_stage ORDER BY seq DESC))[1] AS stage
          FROM campaign_engine.stage_history GROUP BY 1, 2
    )
    SELECT CASE WHEN c.id IS NULL THEN format('history of conversation %s, which does not exist', id)
                WHEN t.stage IS DISTINCT FROM c.stage
                THEN format('conversation %s is in stage %s, its history ends in %s', id,
                            coalesce(c.stage, '-'), coalesce(t.stage, '-'))
                ELSE format('conversation %s is at seq %s, its history has %s rows from %s to %s', id, c.seq,
                            coalesce(rows, 0), coalesce(first::text, '-'), coalesce(last::text, '-')) END
      FROM told t FULL JOIN campaign_engine.conversations c USING (bucket, id)
     CROSS JOIN LATERAL (
           SELECT coalesce(c.status NOT IN ('active', 'paused') AND c.enrolled_at < {_WHOLE_SINCE}, false)) AS old(cut)
     CROSS JOIN LATERAL (SELECT CASE WHEN cut THEN first ELSE 1 END) AS wanted(first_seq)
     WHERE NOT (cut AND t.id IS NULL)
       AND (c.id IS NULL OR t.stage IS DISTINCT FROM c.stage
            OR (coalesce(rows, 0), coalesce(steps, 0), coalesce(first, 1), coalesce(last, 0))
               IS DISTINCT FROM (c.seq - first_seq + 1, c.seq - first_seq + 1, first_seq, c.seq))
     ORDER BY 1
"""  # noqa: S608 - constants of this module

_SENDS = """
    WITH made AS (
        SELECT bucket, conversation_id, seq, count(*) AS messages, count(DISTINCT ordinal) AS places
          FROM campaign_engine.outbox GROUP BY 1, 2, 3
    )
    SELECT format('conversation %s at seq %s: history says %s messages, the outbox has %s', conversation_id, seq,
                  coalesce(sends, 0), coalesce(messages, 0))
      FROM campaign_engine.stage_history h FULL JOIN made USING (bucket, conversation_id, seq)
     WHERE coalesce(sends, 0) <> coalesce(messages, 0) OR messages <> places
     ORDER BY 1
"""

_EMITTED = f"""
    SELECT format('event %s of conversation %s: its history has no step %s then', e.name, e.conversation_id,
                  e.provider_message_id)
      FROM campaign_engine.events e
      LEFT JOIN campaign_engine.stage_history h
        ON h.bucket = e.bucket AND h.conversation_id = e.conversation_id AND h.at = e.received_at
       AND CAST(h.seq AS text) = split_part(e.provider_message_id, '.', 1)
     WHERE e.status = 'emitted' AND h.seq IS NULL AND e.received_at >= coalesce({_WHOLE_SINCE}, '-infinity')
     ORDER BY 1
"""  # noqa: S608 - constants of this module

# Every type is bounded, so whoever is active waits for some instant, and by then at the latest for what has arrived:
# what somebody wrote, or that the message a follow-up counts from has left or cannot. One that failed waits for its
# next try instead. What arrives while a campaign is paused is asked for again when it goes on.
_STUCK = """
    SELECT format('conversation %s is %s and nothing will wake it', id, status)
      FROM campaign_engine.conversations
     WHERE (status = 'active' OR (status IN ('completed', 'stopped') AND inbox_waiting AND attempts = 0))
       AND due_at IS NULL
     UNION ALL
    SELECT format('conversation %s is parked and has no due time to go back to', id)
      FROM campaign_engine.conversations WHERE status = 'paused' AND due_at IS NULL AND held_due_at IS NULL
     UNION ALL
    SELECT format('conversation %s ' || CASE WHEN c.inbox_waiting THEN 'sleeps through what waits for it until %s'
                                             ELSE 'does not know that something waits for it' END, c.id, c.due_at)
      FROM (SELECT bucket, conversation_id AS id, received_at FROM campaign_engine.responses WHERE status = 'waiting'
             UNION ALL
            SELECT bucket, conversation_id, received_at FROM campaign_engine.events WHERE status = 'waiting') AS news
      JOIN campaign_engine.conversations c USING (bucket, id)
     WHERE NOT c.inbox_waiting
        OR (c.status = 'active' AND c.attempts = 0 AND news.received_at <= :now AND c.due_at > :now)
     UNION ALL
    SELECT format('conversation %s counts from message %s.%s, which is %s, and sleeps until %s', c.id, o.seq, o.ordinal,
                  o.status, c.due_at)
      FROM campaign_engine.conversations c
      JOIN campaign_engine.outbox o
        ON o.bucket = c.bucket AND o.conversation_id = c.id AND o.status IN ('sent', 'failed')
       AND to_jsonb(ARRAY[o.seq, o.ordinal]) = c.progress -> 'awaits'
     WHERE c.status = 'active' AND c.attempts = 0 AND c.due_at > :now AND coalesce(o.sent_at, :now) <= :now
     ORDER BY 1
"""

_GATES = """
    SELECT format('bucket %s has no send gate, so no message of it leaves', known.bucket)
      FROM unnest(CAST(:buckets AS smallint[])) AS known (bucket)
     WHERE NOT EXISTS (SELECT FROM campaign_engine.send_gates g WHERE g.bucket = known.bucket)
     ORDER BY known.bucket
"""

_MOVES = """
    SELECT format('conversation %s at seq %s: %s', conversation_id, seq,
                  CASE WHEN m.seq IS NULL THEN 'nothing says why it was moved' ELSE 'its history tells of no move' END)
      FROM (SELECT bucket, conversation_id, seq FROM campaign_engine.stage_history WHERE cause = 'moved') h
      FULL JOIN campaign_engine.moves m USING (bucket, conversation_id, seq)
     WHERE m.seq IS NULL OR h.seq IS NULL
     ORDER BY 1
"""

# What each metric counts stands above `metric_deltas` in `engine.db.tables`. Some rows do not tell all that was
# counted: when a message was given up or cancelled, when and where a conversation ended, in which stage a response
# came. So neither side tells that here. `responded` and `engaged` are no counts of rows.
_COUNTS = f"""
    WITH tally AS (
        SELECT campaign_id, CASE WHEN metric NOT IN ('failed', 'cancelled', 'finished') THEN day END AS day, metric,
               CASE WHEN metric NOT IN ('finished', 'received') THEN stage ELSE '' END AS stage,
               CASE WHEN metric <> 'finished' THEN target ELSE '' END AS target,
               CASE WHEN metric <> 'finished' OR label IN ('stopped', 'failed') THEN label ELSE 'completed' END
               AS label, count AS counted, 0 AS found
          FROM campaign_engine.metric_counts WHERE metric NOT IN ('responded', 'engaged')
         UNION ALL
        SELECT campaign_id, CAST(at AT TIME ZONE 'UTC' AS date), CASE WHEN entered THEN 'entered' ELSE 'stayed' END,
               coalesce(from_stage, ''), coalesce(to_stage, ''), cause, 0, 1
          FROM campaign_engine.stage_history
         UNION ALL
        SELECT o.campaign_id, CAST(fate.at AT TIME ZONE 'UTC' AS date), fate.metric, coalesce(stage, ''), channel,
               message, 0, 1
          FROM campaign_engine.outbox o
         CROSS JOIN LATERAL (VALUES ('queued', o.at), (o.status, o.sent_at)) AS fate (metric, at)
         WHERE fate.metric IN ('queued', 'sent', 'failed', 'cancelled')
         UNION ALL
        SELECT campaign_id, CAST(enrolled_at AT TIME ZONE 'UTC' AS date), 'enrolled', '', '', '', 0, 1
          FROM campaign_engine.conversations
         UNION ALL
        SELECT campaign_id, NULL, 'finished', '', '', status, 0, 1
          FROM campaign_engine.conversations WHERE status IN ('completed', 'stopped', 'failed')
         UNION ALL
        SELECT campaign_id, CAST(received_at AT TIME ZONE 'UTC' AS date), 'received', '', '', '', 0, 1
          FROM campaign_engine.responses WHERE conversation_id IS NOT NULL
    )
    SELECT format('campaign %s: %s is counted %s times, there are %s', campaign_id,
                  concat_ws(' ', metric, nullif(stage, ''), nullif(target, ''), nullif(label, ''), day),
                  sum(counted), sum(found))
      FROM tally GROUP BY campaign_id, day, metric, stage, target, label
    HAVING sum(counted) < sum(found)
        OR sum(counted) > sum(found) AND campaign_id NOT IN (
           SELECT id FROM campaign_engine.campaigns WHERE created_at < {_WHOLE_SINCE})
     ORDER BY 1
"""  # noqa: S608 - constants of this module


async def find_violations(connection: AsyncConnection, now: datetime | None = None) -> list[str]:
    """One line for each promise that is broken, the first few of each kind; empty when all hold.

    `now` is the present of those who work; without it nobody is asked whether they oversleep.
    """
    violations: list[str] = []
    given: dict[str, dict[str, object]] = {_STUCK: {"now": now}, _GATES: {"buckets": list(BUCKETS)}}
    for check in (_GAPS, _SENDS, _EMITTED, _MOVES, _STUCK, _COUNTS, _GATES):
        found = [line for (line,) in await connection.execute(text(check), given.get(check, {}))]
        violations += found[:_SHOWN]
        if len(found) > _SHOWN:
            violations.append(f"and {len(found) - _SHOWN} more of the kind")
    return violations
