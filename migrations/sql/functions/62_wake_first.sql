-- Wake the lane of a queue whose turn it is among those that are parked on a bucket. Returns the
-- best priority that is ready by it, null without any.
CREATE OR REPLACE FUNCTION runfold.wake_first(
    p_log integer, p_queue text, p_bucket text, p_place bigint
) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_lane text;
BEGIN
    SELECT p.lane INTO v_lane FROM runfold.parked p
    WHERE p.log_id = p_log AND p.bucket = p_bucket AND p.queue = p_queue
    ORDER BY p.rank, p.place, p.head LIMIT 1;
    RETURN CASE WHEN v_lane IS NOT NULL
        THEN runfold.wake_lanes(p_log, ARRAY[p_queue], ARRAY[v_lane], p_place) END;
END
$$
