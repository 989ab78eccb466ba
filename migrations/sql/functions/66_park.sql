-- Let nothing of the lane of this head be ready until a bucket opens, by time at p_due.
CREATE OR REPLACE FUNCTION runfold.park(
    p_log integer, p_queue text, p_lane text, p_place bigint, p_head bigint, p_bucket text,
    p_due timestamptz
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE runfold.jobs SET blocked = 2 WHERE ctid = ANY (ARRAY(
        SELECT j.ctid FROM runfold.jobs j
        WHERE j.log_id = p_log AND j.queue = p_queue AND j.limits = p_lane
            AND j.member IS NULL AND j.blocked = 0
    ));
    INSERT INTO runfold.parked (place, head, log_id, rank, queue, lane, bucket)
    SELECT p_place, p_head, p_log, 10 - best.priority, p_queue, p_lane, p_bucket
    FROM (
        SELECT j.priority FROM runfold.jobs j
        WHERE j.log_id = p_log AND j.queue = p_queue AND j.limits = p_lane
            AND j.member IS NULL AND j.blocked = 2
        ORDER BY j.priority DESC, j.id DESC LIMIT 1
    ) best;
    IF p_due IS NOT NULL THEN
        PERFORM runfold.expect(p_log, p_queue, p_bucket, p_due);
    END IF;
END
$$
