-- Wake one lane in each queue where some are parked on one of these buckets: a queue that
-- nobody works on must not keep the place from the others.
CREATE OR REPLACE FUNCTION runfold.wake(p_log integer, p_buckets text[], p_place bigint)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_bucket text;
    v_queue text;
BEGIN
    FOREACH v_bucket IN ARRAY p_buckets LOOP
        v_queue := '';
        LOOP
            SELECT p.queue INTO v_queue FROM runfold.parked p
            WHERE p.log_id = p_log AND p.bucket = v_bucket AND p.queue > v_queue
            ORDER BY p.queue, p.rank, p.place, p.head LIMIT 1;
            EXIT WHEN v_queue IS NULL;
            PERFORM runfold.wake_first(p_log, v_queue, v_bucket, p_place);
        END LOOP;
    END LOOP;
END
$$
