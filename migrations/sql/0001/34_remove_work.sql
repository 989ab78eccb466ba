-- Of the items that are recorded: gates that change, and the jobs, timers and inbox rows that
-- go away. A timer of kind start or retry becomes a job. Gates come first, because a job is
-- blocked by the gate that its run has at the end; a removal applies to fired timers too.
CREATE FUNCTION runfold.remove_work(
    p_log integer, p_refusals integer[], p_streams bigint[], p_firsts bigint[],
    p_set_gate integer[], p_leases bigint[], p_frees boolean[], p_timers bigint[],
    p_stalled bigint[], p_inbox bigint[], p_clears boolean[],
    d_item integer[], d_step text[], d_activation integer[]
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_set_gate IS NOT NULL THEN
        UPDATE runfold.streams s SET gate = i.gate
        FROM unnest(p_streams, p_refusals, p_set_gate) AS i (stream, refusal, gate)
        WHERE i.refusal = 0 AND i.gate IS NOT NULL
            AND s.log_id = p_log AND s.stream = i.stream;

        -- Paused (1) and closed (2) runs are not served.
        UPDATE runfold.jobs j SET blocked = i.gate IN (1, 2)
        FROM unnest(p_streams, p_refusals, p_set_gate) AS i (stream, refusal, gate)
        WHERE i.refusal = 0 AND i.gate IS NOT NULL
            AND j.log_id = p_log AND j.stream = i.stream
            AND j.member IS NULL AND j.blocked <> (i.gate IN (1, 2));
    END IF;

    IF p_timers IS NOT NULL THEN
        WITH fired AS (
            DELETE FROM runfold.timers t
            USING unnest(p_timers, p_refusals, p_firsts) AS i (timer, refusal, position)
            WHERE i.refusal = 0 AND t.log_id = p_log AND t.id = i.timer
            RETURNING t.*, i.position
        )
        INSERT INTO runfold.jobs (
            id, stream, log_id, activation, attempt, priority, flow, step, queue, key, inputs,
            blocked
        )
        SELECT f.position, f.stream, p_log, f.activation, f.attempt, f.priority, f.flow, f.step,
            f.queue, f.key, f.inputs, s.gate IN (1, 2)
        FROM fired f
        JOIN runfold.streams s ON s.log_id = p_log AND s.stream = f.stream
        WHERE f.kind IN ('start', 'retry');
    END IF;

    IF p_frees IS NOT NULL THEN
        DELETE FROM runfold.jobs j
        USING unnest(p_leases, p_refusals, p_frees) AS i (lease, refusal, frees)
        WHERE i.refusal = 0 AND i.frees AND j.log_id = p_log AND j.id = i.lease;
    END IF;

    IF p_stalled IS NOT NULL THEN
        DELETE FROM runfold.jobs j
        USING unnest(p_stalled, p_refusals) AS i (stalled, refusal)
        WHERE i.refusal = 0 AND j.log_id = p_log AND j.id = i.stalled;
    END IF;

    IF p_inbox IS NOT NULL THEN
        DELETE FROM runfold.inbox b
        USING unnest(p_inbox, p_refusals) AS i (inbox, refusal)
        WHERE i.refusal IN (0, 1) AND b.log_id = p_log AND b.id = i.inbox;
    END IF;

    IF d_item IS NOT NULL THEN
        DELETE FROM runfold.jobs j
        USING unnest(d_item, d_step, d_activation) AS d (item, step, activation)
        WHERE p_refusals[d.item] = 0 AND j.log_id = p_log AND j.stream = p_streams[d.item]
            AND j.step = d.step AND j.activation = d.activation;
        DELETE FROM runfold.timers t
        USING unnest(d_item, d_step, d_activation) AS d (item, step, activation)
        WHERE p_refusals[d.item] = 0 AND t.log_id = p_log AND t.stream = p_streams[d.item]
            AND t.step = d.step AND t.activation = d.activation;
    END IF;

    IF p_clears IS NOT NULL THEN
        DELETE FROM runfold.jobs j
        USING unnest(p_streams, p_refusals, p_clears) AS i (stream, refusal, clears)
        WHERE i.refusal = 0 AND i.clears AND j.log_id = p_log AND j.stream = i.stream;
        DELETE FROM runfold.timers t
        USING unnest(p_streams, p_refusals, p_clears) AS i (stream, refusal, clears)
        WHERE i.refusal = 0 AND i.clears AND t.log_id = p_log AND t.stream = i.stream;
    END IF;
END
$$
