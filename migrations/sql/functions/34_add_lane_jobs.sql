-- The jobs with lanes of the items that are recorded. A job waits in its lane, unless it is the
-- first of its priority there: mostly that is known before it is written, which is written once.
CREATE OR REPLACE FUNCTION runfold.add_lane_jobs(
    p_log integer, p_place bigint, p_refusals integer[], p_streams bigint[], p_firsts bigint[],
    r_item integer[], r_event integer[], r_kind text[], r_flow text[], r_step text[],
    r_activation integer[], r_attempt integer[], r_queue text[], r_priority integer[],
    r_key text[], r_inputs text[], r_limits text[]
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO runfold.jobs (
        id, stream, log_id, activation, attempt, priority, flow, step, queue, key, inputs, limits,
        blocked, place
    )
    SELECT r.id, r.stream, p_log, r.activation, r.attempt, r.priority, r.flow, r.step, r.queue,
        r.key, r.inputs, r.limits,
        CASE
            WHEN (
                SELECT s.gate IN (1, 2) FROM runfold.streams s
                WHERE s.log_id = p_log AND s.stream = r.stream
            ) THEN 1
            WHEN r.turn > 1 OR EXISTS (
                SELECT FROM runfold.parked p
                WHERE p.log_id = p_log AND p.queue = r.queue AND p.lane = r.limits OFFSET 0
            ) OR EXISTS (
                SELECT FROM runfold.jobs j
                WHERE j.log_id = p_log AND j.queue = r.queue AND j.limits = r.limits
                    AND j.priority = r.priority AND j.member IS NULL AND j.blocked = 0 OFFSET 0
            ) OR EXISTS (
                SELECT FROM runfold.jobs j
                WHERE j.log_id = p_log AND j.queue = r.queue AND j.limits = r.limits
                    AND j.priority = r.priority AND j.member IS NULL AND j.blocked = 2 OFFSET 0
            ) THEN 2
            ELSE 0
        END,
        r.id
    FROM (
        SELECT r.*, p_firsts[r.item] + r.event AS id, p_streams[r.item] AS stream,
            row_number() OVER (
                PARTITION BY r.queue, r.limits, r.priority ORDER BY p_firsts[r.item] + r.event
            ) AS turn
        FROM unnest(
            r_item, r_event, r_kind, r_flow, r_step, r_activation, r_attempt, r_queue,
            r_priority, r_key, r_inputs, r_limits
        ) AS r (
            item, event, kind, flow, step, activation, attempt, queue, priority, key, inputs,
            limits
        )
        WHERE r.kind IS NULL AND r.limits IS NOT NULL AND p_refusals[r.item] = 0
    ) r
    ORDER BY r.id;

    -- The others: of a lane that is parked, or whose first here is paused with its run.
    PERFORM runfold.settle(p_log, added.queue, added.limits, added.priority, p_place)
    FROM (
        SELECT DISTINCT r.queue, r.limits, r.priority
        FROM unnest(r_item, r_kind, r_queue, r_priority, r_limits)
            AS r (item, kind, queue, priority, limits)
        WHERE r.kind IS NULL AND r.limits IS NOT NULL AND p_refusals[r.item] = 0
    ) added
    WHERE NOT EXISTS (
        SELECT FROM runfold.jobs j
        WHERE j.log_id = p_log AND j.queue = added.queue AND j.limits = added.limits
            AND j.priority = added.priority AND j.member IS NULL AND j.blocked = 0 OFFSET 0
    );
END
$$
