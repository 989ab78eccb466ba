-- Of the items that are recorded: gates that change, and the jobs, timers and inbox rows that
-- go away. A timer of kind start or retry becomes a job. Gates come first, because a job is
-- blocked by the gate that its run has at the end; a removal applies to fired timers too.
CREATE OR REPLACE FUNCTION runfold.remove_work(
    p_log integer, p_place bigint, p_refusals integer[], p_streams bigint[], p_firsts bigint[],
    p_set_gate integer[], p_leases bigint[], p_frees boolean[], p_timers bigint[],
    p_stalled bigint[], p_inbox bigint[], p_clears boolean[],
    d_item integer[], d_step text[], d_activation integer[]
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_set_gate IS NOT NULL THEN
        PERFORM runfold.set_gates(p_log, p_place, p_refusals, p_streams, p_set_gate);
    END IF;

    IF p_timers IS NOT NULL THEN
        -- By a range of one, in its order: only the primary key has that. With an equality any
        -- index of the log's timers would do for an empty table.
        INSERT INTO runfold.jobs (
            id, stream, log_id, activation, attempt, priority, flow, step, queue, key, inputs,
            limits, blocked, place
        )
        SELECT i.position, f.stream, p_log, f.activation, f.attempt, f.priority, f.flow, f.step,
            f.queue, f.key, f.inputs, f.limits,
            CASE WHEN (
                SELECT s.gate IN (1, 2) FROM runfold.streams s
                WHERE s.log_id = p_log AND s.stream = f.stream
            ) THEN 1 WHEN f.limits IS NOT NULL THEN 2 ELSE 0 END,
            i.position
        FROM unnest(p_timers, p_refusals, p_firsts) AS i (timer, refusal, position)
        CROSS JOIN LATERAL (
            SELECT t.* FROM runfold.timers t
            WHERE t.log_id = p_log AND t.id >= i.timer AND t.id <= i.timer ORDER BY t.id LIMIT 1
        ) f
        WHERE i.refusal = 0 AND f.kind IN ('start', 'retry');

        PERFORM runfold.settle(p_log, fired.queue, fired.limits, fired.priority, p_place)
        FROM (
            SELECT DISTINCT f.queue, f.limits, f.priority
            FROM unnest(p_timers, p_refusals) AS i (timer, refusal)
            CROSS JOIN LATERAL (
                SELECT t.* FROM runfold.timers t
                WHERE t.log_id = p_log AND t.id >= i.timer AND t.id <= i.timer
                ORDER BY t.id LIMIT 1
            ) f
            WHERE i.refusal = 0 AND f.kind IN ('start', 'retry') AND f.limits IS NOT NULL
        ) fired;

        DELETE FROM runfold.timers WHERE ctid = ANY (ARRAY(
            SELECT found.ctid
            FROM unnest(p_timers, p_refusals) AS i (timer, refusal)
            CROSS JOIN LATERAL (
                SELECT t.ctid FROM runfold.timers t
                WHERE t.log_id = p_log AND t.id >= i.timer AND t.id <= i.timer
                ORDER BY t.id LIMIT 1
            ) found
            WHERE i.refusal = 0
        ));
    END IF;

    IF p_frees IS NOT NULL OR p_stalled IS NOT NULL THEN
        PERFORM runfold.remove_jobs(p_log, p_place, ARRAY(
            SELECT found.ctid
            FROM unnest(p_leases, p_frees, p_stalled, p_refusals)
                AS i (lease, frees, stalled, refusal)
            CROSS JOIN LATERAL (
                SELECT j.ctid FROM runfold.jobs j
                WHERE j.log_id = p_log AND j.id = CASE WHEN i.frees THEN i.lease ELSE i.stalled END
                LIMIT 1
            ) found
            WHERE i.refusal = 0
        ));
    END IF;

    IF p_inbox IS NOT NULL THEN
        -- Also of an item whose stream exists (1) already: that start has been recorded.
        DELETE FROM runfold.inbox WHERE ctid = ANY (ARRAY(
            SELECT found.ctid
            FROM unnest(p_inbox, p_refusals) AS i (inbox, refusal)
            CROSS JOIN LATERAL (
                SELECT b.ctid FROM runfold.inbox b
                WHERE b.id = i.inbox AND b.log_id = p_log LIMIT 1
            ) found
            WHERE i.refusal IN (0, 1)
        ));
    END IF;

    IF d_item IS NOT NULL THEN
        PERFORM runfold.remove_activations(
            p_log, p_place, p_refusals, p_streams, d_item, d_step, d_activation
        );
    END IF;
    IF p_clears IS NOT NULL THEN
        PERFORM runfold.remove_all(p_log, p_place, p_refusals, p_streams, p_clears);
    END IF;
END
$$
