-- Why each is there, and what its columns mean, stands in engine/db/tables.py.

ALTER TABLE campaign_engine.outbox
    ADD COLUMN ignores_window boolean NOT NULL DEFAULT false,
    ADD COLUMN ignores_limits boolean NOT NULL DEFAULT false;
CREATE INDEX outbox_sent ON campaign_engine.outbox (bucket, recipient_id, sent_at) WHERE status = 'sent';
CREATE INDEX outbox_leased ON campaign_engine.outbox (bucket, recipient_id) WHERE status = 'leased';

CREATE TABLE campaign_engine.send_gates (
    bucket smallint PRIMARY KEY
);
INSERT INTO campaign_engine.send_gates (bucket)
SELECT unnest(CAST('{
    60,8,82,1,31,88,79,24,10,92,48,109,5,112,50,166,4,7,17,172,16,96,170,85,36,89,19,0,37,45,101,3,
    113,52,62,99,136,168,46,28,6,66,70,21,83,39,43,13,2,351,27,95,58,149,41,179,9,80,59,22,12,11,44,18
}' AS smallint[]));

ALTER TABLE campaign_engine.events ADD COLUMN stage text;
CREATE INDEX events_emitted ON campaign_engine.events (bucket, received_at) WHERE status = 'emitted';
