-- What 0004 took apart, together again.

UPDATE campaign_engine.conversations
SET progress = progress || jsonb_build_object('started_at', started_at)
WHERE started_at IS NOT NULL;

UPDATE campaign_engine.conversations AS conversation
SET progress = jsonb_set(progress, '{agenda}', due.agenda)
FROM (
    SELECT bucket, id, jsonb_agg(jsonb_build_array(pending[place]) || entry ORDER BY place) AS agenda
    FROM campaign_engine.conversations
    CROSS JOIN LATERAL jsonb_array_elements(progress -> 'agenda') WITH ORDINALITY AS agenda (entry, place)
    GROUP BY bucket, id
) AS due
WHERE conversation.bucket = due.bucket AND conversation.id = due.id;

ALTER TABLE campaign_engine.conversations DROP COLUMN pending, DROP COLUMN started_at;
