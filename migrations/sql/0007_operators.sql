-- Why each is there, and what its columns mean, stands in engine/db/tables.py. May be granted again at any time, by the
-- owner of the tables.

CREATE TABLE IF NOT EXISTS campaign_engine.moves (
    bucket smallint NOT NULL,
    conversation_id uuid NOT NULL,
    seq integer NOT NULL,
    campaign_id uuid NOT NULL,
    from_stage text,
    to_stage text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (bucket, conversation_id, seq)
);

ALTER TABLE campaign_engine.conversations ADD COLUMN IF NOT EXISTS failed_at timestamptz;

-- Each holds only what went wrong, so nothing is written to them while all is well.
CREATE INDEX IF NOT EXISTS conversations_failing ON campaign_engine.conversations (bucket, campaign_id, id)
WHERE attempts > 0;
CREATE INDEX IF NOT EXISTS outbox_failed ON campaign_engine.outbox (bucket, not_before) WHERE status = 'failed';
CREATE INDEX IF NOT EXISTS responses_unmatched ON campaign_engine.responses (bucket, received_at)
WHERE status = 'unmatched';

ALTER TABLE campaign_engine.send_gates ADD COLUMN IF NOT EXISTS place smallint;
UPDATE campaign_engine.send_gates
SET place = array_position(CAST('{
    60,8,82,1,31,88,79,24,10,92,48,109,5,112,50,166,4,7,17,172,16,96,170,85,36,89,19,0,37,45,101,3,
    113,52,62,99,136,168,46,28,6,66,70,21,83,39,43,13,2,351,27,95,58,149,41,179,9,80,59,22,12,11,44,18
}' AS smallint[]), bucket) - 1
WHERE place IS NULL;

CREATE OR REPLACE VIEW reporting.moves AS
SELECT campaign_id, campaign.name AS campaign, conversation_id, seq, from_stage, to_stage, reason, at
FROM campaign_engine.moves
JOIN campaign_engine.campaigns AS campaign ON campaign.id = campaign_id;
COMMENT ON VIEW reporting.moves IS 'Every conversation that somebody moved by hand, and why.';
COMMENT ON COLUMN reporting.moves.campaign_id IS 'Id of the campaign.';
COMMENT ON COLUMN reporting.moves.campaign IS 'Name of the campaign; two campaigns may share one.';
COMMENT ON COLUMN reporting.moves.conversation_id IS 'The conversation that was moved.';
COMMENT ON COLUMN reporting.moves.seq IS 'Which of its progressions the move was.';
COMMENT ON COLUMN reporting.moves.from_stage IS 'The stage left; NULL when the conversation had not begun.';
COMMENT ON COLUMN reporting.moves.to_stage IS 'The stage or exit it was moved to; a split may have led on from there.';
COMMENT ON COLUMN reporting.moves.reason IS 'Why, in the words of whoever moved it.';
COMMENT ON COLUMN reporting.moves.at IS 'When it was moved.';

DO $$
BEGIN
    IF to_regrole('campaign_engine_app') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON campaign_engine.moves TO campaign_engine_app;
        GRANT SELECT ON reporting.moves TO campaign_engine_app;
    END IF;

    IF to_regrole('campaign_engine_reporter') IS NOT NULL THEN
        GRANT SELECT ON reporting.moves TO campaign_engine_reporter;
    END IF;
END
$$;
