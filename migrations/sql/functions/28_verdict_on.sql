-- What a queue as a whole admits: the least of its limits that are not keyed, and of closures.
-- It opens by time when everything that is shut does, at the latest of these moments.
CREATE OR REPLACE FUNCTION runfold.verdict_on(
    p_log integer, p_ts timestamptz, p_queue text, OUT room integer, OUT due timestamptz
)
LANGUAGE plpgsql
AS $$
BEGIN
    SELECT min(v.room),
        CASE WHEN count(*) FILTER (WHERE v.room = 0) = count(v.due) THEN max(v.due) END
    INTO room, due
    FROM (
        SELECT 'queue:' || p_queue AS bucket
        UNION ALL
        SELECT l.id FROM runfold.limits l
        WHERE l.log_id = p_log AND l.scope = 'queue:' || p_queue AND NOT l.keyed
    ) whole
    CROSS JOIN LATERAL runfold.verdict(p_log, p_ts, whole.bucket) v;
END
$$
