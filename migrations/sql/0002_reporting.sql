-- What campaigns tell other systems. Names nobody: who a conversation is with stands in campaign_engine.

CREATE VIEW reporting.emitted_events AS
SELECT id AS event_id, campaign_id, conversation_id, name, stage, received_at AS at
FROM campaign_engine.events
WHERE status = 'emitted';
COMMENT ON VIEW reporting.emitted_events IS
    'Every event that a campaign emitted, once; written in the transaction that moved the conversation.';
COMMENT ON COLUMN reporting.emitted_events.event_id IS 'Names the event, for systems that read a span twice.';
COMMENT ON COLUMN reporting.emitted_events.campaign_id IS 'The campaign.';
COMMENT ON COLUMN reporting.emitted_events.conversation_id IS 'The conversation that emitted it.';
COMMENT ON COLUMN reporting.emitted_events.name IS 'Name of the event in the campaign type.';
COMMENT ON COLUMN reporting.emitted_events.stage IS
    'The stage or exit the conversation was in; NULL before the start stage.';
COMMENT ON COLUMN reporting.emitted_events.at IS 'When the conversation moved.';
