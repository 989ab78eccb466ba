-- Let another lane of the queue try what is left of each of these buckets, now or at the time
-- when it opens. Returns the best priority that is ready by it, null without any.
CREATE OR REPLACE FUNCTION runfold.pass_on(
    p_log integer, p_ts timestamptz, p_queue text, p_buckets text[], p_place bigint
) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_bucket text;
    v_room integer;
    v_due timestamptz;
    v_best integer;
BEGIN
    FOREACH v_bucket IN ARRAY p_buckets LOOP
        CONTINUE WHEN NOT EXISTS (
            SELECT FROM runfold.parked p
            WHERE p.log_id = p_log AND p.bucket = v_bucket AND p.queue = p_queue
        );
        SELECT v.room, v.due INTO v_room, v_due FROM runfold.verdict(p_log, p_ts, v_bucket) v;
        IF v_room > 0 THEN
            v_best := greatest(v_best, runfold.wake_first(p_log, p_queue, v_bucket, p_place));
        ELSIF v_due IS NOT NULL THEN
            PERFORM runfold.expect(p_log, p_queue, v_bucket, v_due);
        END IF;
    END LOOP;
    RETURN v_best;
END
$$
