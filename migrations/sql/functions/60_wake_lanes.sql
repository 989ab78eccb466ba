-- Park these lanes no more: the first of each of their priorities is ready, at p_place or, for
-- a job of this batch, at its id. Returns the best priority of those, null without any.
CREATE OR REPLACE FUNCTION runfold.wake_lanes(
    p_log integer, p_queues text[], p_lanes text[], p_place bigint
) RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_queues text[];
    v_buckets text[];
    v_best integer;
BEGIN
    WITH woken AS (
        DELETE FROM runfold.parked p WHERE p.ctid = ANY (ARRAY(
            SELECT found.ctid
            FROM unnest(p_queues, p_lanes) AS w (queue, lane)
            CROSS JOIN LATERAL (
                SELECT p.ctid FROM runfold.parked p
                WHERE p.log_id = p_log AND p.queue = w.queue AND p.lane = w.lane LIMIT 1
            ) found
        ))
        RETURNING p.queue, p.bucket
    )
    SELECT array_agg(w.queue), array_agg(w.bucket) INTO v_queues, v_buckets FROM woken w;

    DELETE FROM runfold.alarms WHERE ctid = ANY (ARRAY(
        SELECT found.ctid
        FROM unnest(v_queues, v_buckets) AS w (queue, bucket)
        CROSS JOIN LATERAL (
            SELECT a.ctid FROM runfold.alarms a
            WHERE a.log_id = p_log AND a.queue = w.queue AND a.bucket = w.bucket LIMIT 1
        ) found
        WHERE NOT EXISTS (
            SELECT FROM runfold.parked p
            WHERE p.log_id = p_log AND p.bucket = w.bucket AND p.queue = w.queue OFFSET 0
        )
    ));

    WITH heads AS (
        UPDATE runfold.jobs j SET blocked = 0, place = greatest(j.id, p_place)
        WHERE j.ctid = ANY (ARRAY(
            SELECT first.ctid
            FROM unnest(p_queues, p_lanes) AS w (queue, lane)
            CROSS JOIN generate_series(10, 1, -1) AS level (priority)
            CROSS JOIN LATERAL (
                SELECT j.ctid FROM runfold.jobs j
                WHERE j.log_id = p_log AND j.queue = w.queue AND j.limits = w.lane
                    AND j.priority = level.priority AND j.member IS NULL AND j.blocked = 2
                ORDER BY j.id LIMIT 1
            ) first
        ))
        RETURNING j.priority
    )
    SELECT max(h.priority) INTO v_best FROM heads h;
    RETURN v_best;
END
$$
