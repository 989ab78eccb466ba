-- The seconds until time alone lets one more job of the queue be ready, null without such a job.
CREATE OR REPLACE FUNCTION runfold.wait_for(p_log integer, p_ts timestamptz, p_queue text)
RETURNS float8
LANGUAGE plpgsql
AS $$
DECLARE
    v_room integer;
    v_due timestamptz;
BEGIN
    SELECT v.room, v.due INTO v_room, v_due FROM runfold.verdict_on(p_log, p_ts, p_queue) v;
    IF v_room > 0 THEN
        SELECT a.due_at INTO v_due FROM runfold.alarms a
        WHERE a.log_id = p_log AND a.queue = p_queue ORDER BY a.due_at LIMIT 1;
    ELSIF v_due IS NOT NULL AND NOT EXISTS (
        SELECT FROM runfold.jobs j
        WHERE j.log_id = p_log AND j.queue = p_queue AND j.member IS NULL AND j.blocked = 0
    ) AND NOT EXISTS (
        SELECT FROM runfold.parked p WHERE p.log_id = p_log AND p.queue = p_queue
    ) THEN
        RETURN NULL;
    END IF;
    RETURN CASE WHEN v_due IS NOT NULL THEN greatest(0, extract(epoch FROM v_due - p_ts)) END;
END
$$
