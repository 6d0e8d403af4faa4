-- What analysts query. Every view adds the deltas not yet compacted to the rollups, so it is exact at every moment.
-- The two views in campaign_engine are the ground the eight of `reporting` stand on.

CREATE VIEW campaign_engine.metric_counts AS
SELECT bucket, campaign_id, day, metric, stage, target, label, count, duration_us
FROM campaign_engine.metric_deltas
UNION ALL
SELECT bucket, campaign_id, day, metric, stage, target, label, count, duration_us
FROM campaign_engine.metric_rollups;
COMMENT ON VIEW campaign_engine.metric_counts IS 'Deltas and rollups together; what was counted is their sum.';

-- Only stages: an exit is a name some conversation finished in, and nothing that was never entered is a stage.
CREATE VIEW campaign_engine.stage_totals AS
SELECT counted.campaign_id, place.name AS stage,
       sum(counted.count) FILTER (WHERE place.role = 'to') AS entered,
       coalesce(sum(counted.count) FILTER (WHERE place.role = 'entered'), 0) AS completed,
       coalesce(sum(counted.duration_us) FILTER (WHERE place.role = 'entered'), 0) AS completed_us,
       coalesce(sum(counted.count) FILTER (WHERE place.role = 'finished' AND counted.target = ''), 0) AS ended,
       coalesce(sum(counted.count) FILTER (WHERE place.role = 'responded'), 0) AS responded,
       coalesce(sum(counted.count) FILTER (WHERE place.role = 'received'), 0) AS responses
FROM campaign_engine.metric_counts AS counted
CROSS JOIN LATERAL (VALUES
    (counted.stage, counted.metric),
    (counted.target, CASE counted.metric WHEN 'entered' THEN 'to' WHEN 'finished' THEN 'exit' END)
) AS place (name, role)
WHERE place.name <> ''
GROUP BY counted.campaign_id, place.name
HAVING count(*) FILTER (WHERE place.role = 'to') > 0 AND count(*) FILTER (WHERE place.role = 'exit') = 0;
COMMENT ON VIEW campaign_engine.stage_totals IS
    'What was counted at each stage. entered and completed count visits; ended are those that finished in the stage '
    'without going to an exit: failed, marked complete, or stopped by the end of the campaign.';

CREATE SCHEMA reporting;
COMMENT ON SCHEMA reporting IS 'Exact figures about campaigns: views only, for SQL users. All days are UTC.';

CREATE VIEW reporting.campaign_summary AS
WITH tally AS (
    SELECT id,
           coalesce(sum(count) FILTER (WHERE metric = 'enrolled'), 0)::bigint AS enrolled,
           coalesce(sum(count) FILTER (WHERE metric = 'entered' AND stage = ''), 0)::bigint AS begun,
           coalesce(sum(count) FILTER (WHERE metric = 'finished'), 0)::bigint AS finished,
           coalesce(sum(count) FILTER (
               WHERE metric = 'finished' AND label IN ('won', 'lost', 'completed')
           ), 0)::bigint AS completed,
           coalesce(sum(count) FILTER (WHERE metric = 'finished' AND label = 'won'), 0)::bigint AS won,
           coalesce(sum(count) FILTER (WHERE metric = 'finished' AND label = 'lost'), 0)::bigint AS lost,
           coalesce(sum(count) FILTER (WHERE metric = 'finished' AND label = 'stopped'), 0)::bigint AS stopped,
           coalesce(sum(count) FILTER (WHERE metric = 'finished' AND label = 'failed'), 0)::bigint AS failed,
           coalesce(sum(count) FILTER (WHERE metric = 'sent'), 0)::bigint AS messages_sent,
           coalesce(sum(count) FILTER (WHERE metric = 'failed'), 0)::bigint AS messages_failed,
           coalesce(sum(count) FILTER (WHERE metric = 'received'), 0)::bigint AS responses_received,
           coalesce(sum(count) FILTER (WHERE metric = 'engaged'), 0)::bigint AS engaged
    FROM campaign_engine.campaigns LEFT JOIN campaign_engine.metric_counts ON campaign_id = id
    GROUP BY id
)
SELECT id AS campaign_id, name, campaign_type, version, status,
       enrolled, enrolled - finished AS active, completed, stopped, failed, won, lost,
       messages_sent, messages_failed, responses_received,
       round(engaged / nullif(begun, 0)::numeric, 4) AS response_rate,
       starts_at, ends_at, ended_at, created_at
FROM campaign_engine.campaigns JOIN tally USING (id);
COMMENT ON VIEW reporting.campaign_summary IS 'Each campaign in one row, also one that has not started.';
COMMENT ON COLUMN reporting.campaign_summary.name IS 'Name of the campaign; two campaigns may share one.';
COMMENT ON COLUMN reporting.campaign_summary.campaign_type IS 'Name of its campaign type.';
COMMENT ON COLUMN reporting.campaign_summary.version IS 'Version of its campaign type.';
COMMENT ON COLUMN reporting.campaign_summary.status IS
    'draft, scheduled, active, paused, completed, cancelled or failed.';
COMMENT ON COLUMN reporting.campaign_summary.enrolled IS 'Conversations made.';
COMMENT ON COLUMN reporting.campaign_summary.active IS 'Conversations not finished, paused ones included.';
COMMENT ON COLUMN reporting.campaign_summary.completed IS 'Conversations that were won, lost or marked complete.';
COMMENT ON COLUMN reporting.campaign_summary.stopped IS
    'Conversations that opted out, or were active at the end of the campaign.';
COMMENT ON COLUMN reporting.campaign_summary.failed IS 'Conversations parked with an error.';
COMMENT ON COLUMN reporting.campaign_summary.won IS 'Conversations that finished as won.';
COMMENT ON COLUMN reporting.campaign_summary.lost IS 'Conversations that finished as lost.';
COMMENT ON COLUMN reporting.campaign_summary.messages_sent IS 'Messages handed to a channel.';
COMMENT ON COLUMN reporting.campaign_summary.messages_failed IS 'Messages given up after the last attempt.';
COMMENT ON COLUMN reporting.campaign_summary.responses_received IS
    'Responses recorded for conversations, also those before the start stage and after an exit.';
COMMENT ON COLUMN reporting.campaign_summary.response_rate IS
    'Conversations with at least one response, divided by conversations that began; NULL when none began.';
COMMENT ON COLUMN reporting.campaign_summary.starts_at IS 'When the campaign starts; NULL means at once.';
COMMENT ON COLUMN reporting.campaign_summary.ends_at IS 'When the campaign ends at the latest; NULL means never.';
COMMENT ON COLUMN reporting.campaign_summary.ended_at IS 'When it was completed or cancelled; NULL while it goes on.';
COMMENT ON COLUMN reporting.campaign_summary.created_at IS 'When the campaign was made.';

CREATE VIEW reporting.funnel AS
SELECT campaign_id, campaign.name AS campaign, stage,
       entered::bigint, completed::bigint, round(completed / nullif(entered, 0), 4) AS completion_rate,
       responded::bigint, (entered - completed - ended)::bigint AS current
FROM campaign_engine.stage_totals AS total
JOIN campaign_engine.campaigns AS campaign ON campaign.id = campaign_id;
COMMENT ON VIEW reporting.funnel IS
    'How far conversations come: a row for each stage entered so far. Exits are not stages, see outcomes.';
COMMENT ON COLUMN reporting.funnel.stage IS 'Name of the stage.';
COMMENT ON COLUMN reporting.funnel.entered IS 'Visits that began; a conversation that comes back counts again.';
COMMENT ON COLUMN reporting.funnel.completed IS 'Visits that went on to another stage or to an exit.';
COMMENT ON COLUMN reporting.funnel.completion_rate IS 'completed divided by entered.';
COMMENT ON COLUMN reporting.funnel.responded IS 'Visits with at least one response.';
COMMENT ON COLUMN reporting.funnel.current IS
    'Conversations in the stage now: entered, less completed, less those that ended there without going to an exit '
    '(failed, marked complete, or stopped by the end of the campaign).';

CREATE VIEW reporting.stage_durations AS
SELECT campaign_id, campaign.name AS campaign, stage,
       completed::bigint AS visits,
       round(completed_us / completed / 1000000, 3) AS average_seconds,
       make_interval(secs => round(completed_us / completed / 1000000, 6)::double precision) AS average_time
FROM campaign_engine.stage_totals AS total
JOIN campaign_engine.campaigns AS campaign ON campaign.id = campaign_id
WHERE completed > 0;
COMMENT ON VIEW reporting.stage_durations IS 'How long conversations stay in a stage, over visits that are complete.';
COMMENT ON COLUMN reporting.stage_durations.stage IS 'Name of the stage.';
COMMENT ON COLUMN reporting.stage_durations.visits IS 'Visits that went on to another stage or to an exit.';
COMMENT ON COLUMN reporting.stage_durations.average_seconds IS 'Mean time in the stage in seconds.';
COMMENT ON COLUMN reporting.stage_durations.average_time IS 'The same as an interval of hours, minutes and seconds.';

CREATE VIEW reporting.transitions AS
SELECT campaign_id, campaign.name AS campaign,
       nullif(stage, '') AS from_stage, target AS to_stage, label AS cause, sum(count)::bigint AS count
FROM campaign_engine.metric_counts AS counted
JOIN campaign_engine.campaigns AS campaign ON campaign.id = campaign_id
WHERE metric = 'entered'
GROUP BY campaign_id, campaign.name, stage, target, label;
COMMENT ON VIEW reporting.transitions IS
    'Every way that was taken into a stage or an exit; follow-ups and other steps that stay are no transitions.';
COMMENT ON COLUMN reporting.transitions.from_stage IS 'The stage left; NULL when the conversation began.';
COMMENT ON COLUMN reporting.transitions.to_stage IS 'The stage or exit entered.';
COMMENT ON COLUMN reporting.transitions.cause IS 'What moved it, as in stage_history.cause.';
COMMENT ON COLUMN reporting.transitions.count IS 'How often.';

CREATE VIEW reporting.message_volume AS
SELECT campaign_id, campaign.name AS campaign, day, target AS channel, label AS message,
       coalesce(sum(count) FILTER (WHERE metric = 'queued'), 0)::bigint AS queued,
       coalesce(sum(count) FILTER (WHERE metric = 'sent'), 0)::bigint AS sent,
       coalesce(sum(count) FILTER (WHERE metric = 'failed'), 0)::bigint AS failed,
       coalesce(sum(count) FILTER (WHERE metric = 'cancelled'), 0)::bigint AS cancelled
FROM campaign_engine.metric_counts AS counted
JOIN campaign_engine.campaigns AS campaign ON campaign.id = campaign_id
WHERE metric IN ('queued', 'sent', 'failed', 'cancelled')
GROUP BY campaign_id, campaign.name, day, target, label;
COMMENT ON VIEW reporting.message_volume IS
    'Messages by day. Each step of a message counts on its own day, so over all days queued is sent, failed, '
    'cancelled and what still waits.';
COMMENT ON COLUMN reporting.message_volume.day IS 'Day in UTC.';
COMMENT ON COLUMN reporting.message_volume.channel IS 'Name of the channel.';
COMMENT ON COLUMN reporting.message_volume.message IS 'Name of the message in the campaign type.';
COMMENT ON COLUMN reporting.message_volume.queued IS 'Messages made that day.';
COMMENT ON COLUMN reporting.message_volume.sent IS 'Messages handed to the channel that day.';
COMMENT ON COLUMN reporting.message_volume.failed IS 'Messages given up that day after the last attempt.';
COMMENT ON COLUMN reporting.message_volume.cancelled IS 'Messages cancelled that day before they left.';

CREATE VIEW reporting.response_rates AS
SELECT campaign_id, campaign.name AS campaign, stage,
       entered::bigint, responded::bigint, responses::bigint, round(responded / nullif(entered, 0), 4) AS rate
FROM campaign_engine.stage_totals AS total
JOIN campaign_engine.campaigns AS campaign ON campaign.id = campaign_id;
COMMENT ON VIEW reporting.response_rates IS
    'Who answers where: a row for each stage entered so far. Responses before the start stage or after an exit are '
    'not here but in campaign_summary and daily_activity.';
COMMENT ON COLUMN reporting.response_rates.stage IS 'Name of the stage.';
COMMENT ON COLUMN reporting.response_rates.entered IS 'Visits that began.';
COMMENT ON COLUMN reporting.response_rates.responded IS 'Visits with at least one response.';
COMMENT ON COLUMN reporting.response_rates.responses IS 'All responses that met the stage.';
COMMENT ON COLUMN reporting.response_rates.rate IS 'responded divided by entered.';

CREATE VIEW reporting.outcomes AS
SELECT campaign_id, campaign.name AS campaign, label AS outcome, nullif(target, '') AS exit,
       sum(count)::bigint AS count,
       round(sum(count) / nullif(sum(sum(count)) OVER (PARTITION BY campaign_id), 0), 4) AS share,
       round(sum(duration_us) / nullif(sum(count), 0) / 1000000, 3) AS average_seconds,
       make_interval(
           secs => round(sum(duration_us) / nullif(sum(count), 0) / 1000000, 6)::double precision
       ) AS average_duration
FROM campaign_engine.metric_counts AS counted
JOIN campaign_engine.campaigns AS campaign ON campaign.id = campaign_id
WHERE metric = 'finished'
GROUP BY campaign_id, campaign.name, label, target;
COMMENT ON VIEW reporting.outcomes IS 'How conversations ended.';
COMMENT ON COLUMN reporting.outcomes.outcome IS 'won, lost, stopped, failed, or completed: marked so.';
COMMENT ON COLUMN reporting.outcomes.exit IS
    'The exit entered; NULL when there was none: failed, marked complete, or stopped by the end of the campaign.';
COMMENT ON COLUMN reporting.outcomes.count IS 'Conversations that ended so.';
COMMENT ON COLUMN reporting.outcomes.share IS 'Their part of all that have ended.';
COMMENT ON COLUMN reporting.outcomes.average_seconds IS 'Mean time from the entry of the start stage to the end.';
COMMENT ON COLUMN reporting.outcomes.average_duration IS 'The same as an interval of hours, minutes and seconds.';

CREATE VIEW reporting.daily_activity AS
SELECT campaign_id, campaign.name AS campaign, day,
       coalesce(sum(count) FILTER (WHERE metric = 'enrolled'), 0)::bigint AS enrolled,
       coalesce(sum(count) FILTER (WHERE metric IN ('entered', 'stayed')), 0)::bigint AS progressions,
       coalesce(sum(count) FILTER (WHERE metric = 'sent'), 0)::bigint AS sent,
       coalesce(sum(count) FILTER (WHERE metric = 'received'), 0)::bigint AS received,
       coalesce(sum(count) FILTER (WHERE metric = 'finished'), 0)::bigint AS finished
FROM campaign_engine.metric_counts AS counted
JOIN campaign_engine.campaigns AS campaign ON campaign.id = campaign_id
GROUP BY campaign_id, campaign.name, day;
COMMENT ON VIEW reporting.daily_activity IS 'What happened on each day on which anything was counted.';
COMMENT ON COLUMN reporting.daily_activity.day IS 'Day in UTC.';
COMMENT ON COLUMN reporting.daily_activity.enrolled IS 'Conversations made.';
COMMENT ON COLUMN reporting.daily_activity.progressions IS
    'Rows added to stage_history: stages and exits entered, follow-ups, escalations, stays and ends.';
COMMENT ON COLUMN reporting.daily_activity.sent IS 'Messages handed to a channel.';
COMMENT ON COLUMN reporting.daily_activity.received IS 'Responses recorded.';
COMMENT ON COLUMN reporting.daily_activity.finished IS 'Conversations that ended.';

-- the two columns that every view shares
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT attrelid::regclass AS view, attname, CASE attname
                   WHEN 'campaign_id' THEN 'Id of the campaign.'
                   ELSE 'Name of the campaign; two campaigns may share one.'
               END AS comment
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'reporting'::regnamespace AND attname IN ('campaign_id', 'campaign')
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', found.view, found.attname, found.comment);
    END LOOP;
END
$$;
