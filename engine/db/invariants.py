"""What must hold in every database, whoever was killed and however many worked on it at once. For tests and drills.

History has no gaps and tells where each conversation stands; the outbox holds what history says was sent off; and
every counter is the count of the rows it counts. Each check is one statement, so it also holds while others work; it
walks whole tables. Where old history has been dropped, its conversations are no longer gapless.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_SHOWN = 10

_GAPS = """
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
     WHERE c.id IS NULL OR t.stage IS DISTINCT FROM c.stage
        OR (coalesce(rows, 0), coalesce(steps, 0), coalesce(first, 1), coalesce(last, 0))
           IS DISTINCT FROM (c.seq, c.seq, 1, c.seq)
     ORDER BY 1
"""

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

# What each metric counts stands above `metric_deltas` in `engine.db.tables`. A row does not say when it was cancelled or
# given up, nor a conversation when it ended or a response in which stage it was received: there the dimension is left out.
_COUNTS = """
    WITH rows AS (
        SELECT campaign_id, (at AT TIME ZONE 'UTC')::date AS day,
               CASE WHEN entered THEN 'entered' ELSE 'stayed' END AS metric, coalesce(from_stage, '') AS stage,
               coalesce(to_stage, '') AS target, cause AS label, count(*) AS found
          FROM campaign_engine.stage_history GROUP BY 1, 2, 3, 4, 5, 6
         UNION ALL
        SELECT campaign_id, (at AT TIME ZONE 'UTC')::date, 'queued', coalesce(stage, ''), channel, message, count(*)
          FROM campaign_engine.outbox GROUP BY 1, 2, 3, 4, 5, 6
         UNION ALL
        SELECT campaign_id, (sent_at AT TIME ZONE 'UTC')::date, 'sent', coalesce(stage, ''), channel, message, count(*)
          FROM campaign_engine.outbox WHERE status = 'sent' GROUP BY 1, 2, 3, 4, 5, 6
         UNION ALL
        SELECT campaign_id, NULL, status, coalesce(stage, ''), channel, message, count(*)
          FROM campaign_engine.outbox WHERE status IN ('failed', 'cancelled') GROUP BY 1, 2, 3, 4, 5, 6
         UNION ALL
        SELECT campaign_id, (enrolled_at AT TIME ZONE 'UTC')::date, 'enrolled', '', '', '', count(*)
          FROM campaign_engine.conversations GROUP BY 1, 2
         UNION ALL
        SELECT campaign_id, NULL, 'finished', '', '', status, count(*)
          FROM campaign_engine.conversations WHERE status IN ('completed', 'stopped', 'failed') GROUP BY 1, 6
         UNION ALL
        SELECT campaign_id, (received_at AT TIME ZONE 'UTC')::date, 'received', '', '', '', count(*)
          FROM campaign_engine.responses WHERE conversation_id IS NOT NULL GROUP BY 1, 2
    ), counters AS (
        SELECT campaign_id, CASE WHEN metric NOT IN ('failed', 'cancelled', 'finished') THEN day END AS day, metric,
               CASE WHEN metric NOT IN ('finished', 'received') THEN stage ELSE '' END AS stage,
               CASE WHEN metric <> 'finished' THEN target ELSE '' END AS target,
               CASE WHEN metric = 'finished' AND label NOT IN ('stopped', 'failed') THEN 'completed' ELSE label END
               AS label,
               sum(count) AS counted
          FROM campaign_engine.metric_counts WHERE metric NOT IN ('responded', 'engaged') GROUP BY 1, 2, 3, 4, 5, 6
    )
    SELECT format('campaign %s: %s is counted %s times, there are %s', coalesce(r.campaign_id, c.campaign_id),
                  concat_ws(' ', coalesce(r.metric, c.metric), nullif(coalesce(r.stage, c.stage), ''),
                            nullif(coalesce(r.target, c.target), ''), nullif(coalesce(r.label, c.label), ''),
                            coalesce(r.day, c.day)::text),
                  coalesce(counted, 0), coalesce(found, 0))
      FROM rows r FULL JOIN counters c
        ON r.campaign_id = c.campaign_id AND r.metric = c.metric AND r.stage = c.stage AND r.target = c.target
           AND r.label = c.label AND coalesce(r.day, 'epoch') = coalesce(c.day, 'epoch')
     WHERE coalesce(counted, 0) <> coalesce(found, 0)
     ORDER BY 1
"""


async def find_violations(connection: AsyncConnection) -> list[str]:
    """One line for each promise that is broken, the first few of each kind; empty when all hold."""
    violations: list[str] = []
    for check in (_GAPS, _SENDS, _COUNTS):
        found = [line for (line,) in await connection.execute(text(check))]
        violations += found[:_SHOWN]
        if len(found) > _SHOWN:
            violations.append(f"and {len(found) - _SHOWN} more of the kind")
    return violations
