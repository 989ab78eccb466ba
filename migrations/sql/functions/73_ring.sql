-- Let one lane try for each bucket of the queue whose time has come.
CREATE OR REPLACE FUNCTION runfold.ring(
    p_log integer, p_ts timestamptz, p_queue text, p_place bigint
) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_buckets text[];
    v_bucket text;
BEGIN
    SELECT array_agg(due.bucket) INTO v_buckets
    FROM (
        SELECT a.bucket FROM runfold.alarms a
        WHERE a.log_id = p_log AND a.queue = p_queue AND a.due_at <= p_ts
        ORDER BY a.due_at, a.bucket LIMIT 100
    ) due;
    IF v_buckets IS NULL THEN
        RETURN;
    END IF;
    FOREACH v_bucket IN ARRAY v_buckets LOOP
        DELETE FROM runfold.alarms a
        WHERE a.log_id = p_log AND a.queue = p_queue AND a.bucket = v_bucket;
        PERFORM runfold.wake_first(p_log, p_queue, v_bucket, p_place);
    END LOOP;
END
$$
