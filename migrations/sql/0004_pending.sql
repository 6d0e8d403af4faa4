-- The instants a conversation waits for move out of `progress`, so that it is the same for all who stand at one place.
-- What its columns mean stands in engine/db/tables.py.

ALTER TABLE campaign_engine.conversations
    ADD COLUMN pending timestamptz[] NOT NULL DEFAULT '{}',
    ADD COLUMN started_at timestamptz;

UPDATE campaign_engine.conversations AS conversation
SET started_at = CAST(progress ->> 'started_at' AS timestamptz), progress = progress - 'started_at'
WHERE jsonb_exists(progress, 'started_at');

UPDATE campaign_engine.conversations AS conversation
SET pending = due.instants, progress = jsonb_set(progress, '{agenda}', due.places)
FROM (
    SELECT bucket, id, array_agg(CAST(entry ->> 0 AS timestamptz) ORDER BY place) AS instants,
           jsonb_agg(entry - 0 ORDER BY place) AS places
    FROM campaign_engine.conversations
    CROSS JOIN LATERAL jsonb_array_elements(progress -> 'agenda') WITH ORDINALITY AS agenda (entry, place)
    GROUP BY bucket, id
) AS due
WHERE conversation.bucket = due.bucket AND conversation.id = due.id;
