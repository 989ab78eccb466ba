-- The jobs (no kind) and timers of the items that are recorded. A row's id is the position of
-- its event; a delay counts from the time of the commit. Without r_item the jobs are those of
-- each item: ready at once and without lanes, of runs that begin.
CREATE OR REPLACE FUNCTION runfold.add_work(
    p_log integer, p_ts timestamptz, p_place bigint, p_refusals integer[], p_streams bigint[], p_firsts bigint[],
    r_item integer[], r_event integer[], r_kind text[], r_due timestamptz[], r_delay float8[],
    r_flow text[], r_step text[], r_activation integer[], r_attempt integer[],
    r_queue text[], r_priority integer[], r_key text[], r_inputs text[], r_limits text[]
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF r_item IS NULL THEN
        INSERT INTO runfold.jobs (
            id, stream, log_id, activation, attempt, priority, flow, step, queue, key, inputs,
            blocked, place
        )
        SELECT i.first + r.event, i.stream, p_log, r.activation, r.attempt, r.priority, r.flow,
            r.step, r.queue, r.key, r.inputs, 0, i.first + r.event
        FROM unnest(p_refusals, p_streams, p_firsts) AS i (refusal, stream, first)
        CROSS JOIN unnest(
            r_event, r_flow, r_step, r_activation, r_attempt, r_queue, r_priority, r_key, r_inputs
        ) AS r (event, flow, step, activation, attempt, queue, priority, key, inputs)
        WHERE i.refusal = 0;
        RETURN;
    END IF;

    INSERT INTO runfold.jobs (
        id, stream, log_id, activation, attempt, priority, flow, step, queue, key, inputs,
        blocked, place
    )
    SELECT p_firsts[r.item] + r.event, p_streams[r.item], p_log, r.activation, r.attempt,
        r.priority, r.flow, r.step, r.queue, r.key, r.inputs,
        CASE WHEN (
            SELECT s.gate IN (1, 2) FROM runfold.streams s
            WHERE s.log_id = p_log AND s.stream = p_streams[r.item]
        ) THEN 1 ELSE 0 END,
        p_firsts[r.item] + r.event
    FROM unnest(
        r_item, r_event, r_kind, r_flow, r_step, r_activation, r_attempt, r_queue, r_priority,
        r_key, r_inputs, r_limits
    ) AS r (
        item, event, kind, flow, step, activation, attempt, queue, priority, key, inputs, limits
    )
    WHERE r.kind IS NULL AND r.limits IS NULL AND p_refusals[r.item] = 0;

    IF r_limits IS NOT NULL THEN
        PERFORM runfold.add_lane_jobs(
            p_log, p_place, p_refusals, p_streams, p_firsts, r_item, r_event, r_kind, r_flow,
            r_step, r_activation, r_attempt, r_queue, r_priority, r_key, r_inputs, r_limits
        );
    END IF;

    IF r_kind IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO runfold.timers (
        due_at, id, stream, log_id, activation, attempt, priority, flow, step, queue, key, inputs,
        limits, kind
    )
    SELECT coalesce(r.due, p_ts + coalesce(r.delay, 0) * interval '1 second'),
        p_firsts[r.item] + r.event, p_streams[r.item], p_log, r.activation, r.attempt,
        r.priority, r.flow, r.step, r.queue, r.key, r.inputs, r.limits, r.kind
    FROM unnest(
        r_item, r_event, r_kind, r_due, r_delay, r_flow, r_step, r_activation, r_attempt,
        r_queue, r_priority, r_key, r_inputs, r_limits
    ) AS r (
        item, event, kind, due, delay, flow, step, activation, attempt, queue, priority, key,
        inputs, limits
    )
    WHERE r.kind IS NOT NULL AND p_refusals[r.item] = 0;
END
$$
