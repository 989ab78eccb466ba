-- Lease the head of a lane that all its buckets admit. Where its turn would come again at once,
-- because nothing else of its priority is ready and nobody is parked on its buckets, lease up to
-- p_fits of the lane: those behind it that have its key and a known target. Returns all of them.
CREATE OR REPLACE FUNCTION runfold.lease_lane(
    p_log integer, p_token bigint, p_head runfold.jobs, p_fits integer, p_targets text[],
    p_asked text[]
) RETURNS runfold.jobs[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_found tid[];
    v_row runfold.jobs[];
BEGIN
    UPDATE runfold.jobs j SET member = p_token WHERE j.log_id = p_log AND j.id = p_head.id;
    IF p_fits = 1 OR EXISTS (
        SELECT FROM runfold.jobs j
        WHERE j.log_id = p_log AND j.queue = p_head.queue AND j.priority = p_head.priority
            AND (j.place, j.id) > (p_head.place, p_head.id)
            AND j.member IS NULL AND j.blocked = 0
    ) OR EXISTS (
        SELECT FROM unnest(p_asked) AS b (bucket)
        CROSS JOIN LATERAL (
            SELECT FROM runfold.parked p
            WHERE p.log_id = p_log AND p.bucket = b.bucket AND p.queue = p_head.queue LIMIT 1
        ) parked
    ) THEN
        RETURN ARRAY[p_head];
    END IF;

    SELECT array_agg(behind.ctid) INTO v_found
    FROM (
        SELECT waiting.ctid, bool_and(
            waiting.key IS NOT DISTINCT FROM p_head.key
            AND waiting.flow || E'\x1f' || waiting.step = ANY (p_targets)
        ) OVER (ORDER BY waiting.id) AS is_next
        FROM (
            SELECT j.ctid, j.id, j.key, j.flow, j.step FROM runfold.jobs j
            WHERE j.log_id = p_log AND j.queue = p_head.queue AND j.limits = p_head.limits
                AND j.priority = p_head.priority AND j.member IS NULL AND j.blocked = 2
            ORDER BY j.id LIMIT p_fits - 1
        ) waiting
    ) behind
    WHERE behind.is_next;
    WITH leased AS (
        UPDATE runfold.jobs j SET member = p_token, blocked = 0
        WHERE j.ctid = ANY (v_found)
        RETURNING j.id, j AS job
    )
    SELECT array_agg(l.job ORDER BY l.id) INTO v_row FROM leased l;
    RETURN p_head || v_row;
END
$$
