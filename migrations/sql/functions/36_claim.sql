-- Lease ready jobs and record a step.started for each; p_last is the position before the
-- first of them. Claims are served in their order.
--
-- The scan of a priority starts at its floor in the index of ready jobs and ends with the
-- limit. The priority is asked for as a range, so that the order (priority, id) is one that
-- only this index has: with an equality, the primary key would do for an empty table.
CREATE OR REPLACE FUNCTION runfold.claim(
    p_log integer, p_last bigint, p_ts timestamptz, c_queue text[], c_limit integer[],
    c_token bigint[], c_state bytea[], c_targets text[], c_floors bigint[],
    OUT j_id bigint[], OUT j_stream bigint[], OUT j_run bytea[], OUT j_flow text[],
    OUT j_step text[], OUT j_activation integer[], OUT j_attempt integer[], OUT j_queue text[],
    OUT j_priority integer[], OUT j_key text[], OUT j_inputs text[], OUT j_version integer[]
)
LANGUAGE plpgsql
AS $$
DECLARE
    v_targets text[];
    v_found tid[];
    v_started record;
BEGIN
    FOR n IN 1 .. cardinality(c_queue) LOOP
        v_targets := string_to_array(c_targets[n], E'\x1e');
        -- The inner LIMIT makes each scan short; the outer one ends the walk over priorities.
        SELECT array_agg(ready.ctid) INTO v_found
        FROM (
            SELECT found.ctid
            FROM generate_series(10, 1, -1) AS level (priority)
            CROSS JOIN LATERAL (
                SELECT j.ctid
                FROM runfold.jobs j
                WHERE j.log_id = p_log AND j.queue = c_queue[n]
                    AND j.priority >= level.priority AND j.priority <= level.priority
                    AND j.id >= coalesce(c_floors[10 * n - level.priority + 1], 0)
                    AND j.member IS NULL AND NOT j.blocked
                    AND j.flow || E'\x1f' || j.step = ANY (v_targets)
                ORDER BY j.priority, j.id
                LIMIT c_limit[n]
            ) found
            LIMIT c_limit[n]
        ) ready;
        CONTINUE WHEN v_found IS NULL;

        WITH leased AS (
            UPDATE runfold.jobs j SET member = c_token[n]
            WHERE j.ctid = ANY (v_found)
            RETURNING j.id, j.stream, j.flow, j.step, j.activation, j.attempt, j.priority, j.key,
                j.inputs
        ), started AS (
            SELECT l.*, s.id AS run,
                row_number() OVER (ORDER BY l.priority DESC, l.id) AS place,
                last.version
                    + row_number() OVER (PARTITION BY l.stream ORDER BY l.priority DESC, l.id)
                    AS version
            FROM leased l
            CROSS JOIN LATERAL (
                SELECT s.id FROM runfold.streams s
                WHERE s.log_id = p_log AND s.stream = l.stream LIMIT 1
            ) s
            CROSS JOIN LATERAL (
                SELECT e.version FROM runfold.events e
                WHERE e.log_id = p_log AND e.stream = l.stream
                ORDER BY e.version DESC LIMIT 1
            ) last
        ), recorded AS (
            INSERT INTO runfold.events (
                position, stream, ts, log_id, version, activation, attempt, topic, step, key,
                state
            )
            SELECT p_last + s.place, s.stream, p_ts, p_log, s.version, s.activation, s.attempt,
                'step.started', s.step, s.key, c_state[n]
            FROM started s ORDER BY s.place
        )
        SELECT array_agg(o.id) AS id, array_agg(o.stream) AS stream, array_agg(o.run) AS run,
            array_agg(o.flow) AS flow, array_agg(o.step) AS step,
            array_agg(o.activation) AS activation, array_agg(o.attempt) AS attempt,
            array_agg(c_queue[n]) AS queue, array_agg(o.priority) AS priority,
            array_agg(o.key) AS key, array_agg(o.inputs) AS inputs,
            array_agg(o.version) AS version
        INTO v_started
        FROM (SELECT * FROM started ORDER BY place) o;

        p_last := p_last + cardinality(v_found);
        j_id := j_id || v_started.id;
        j_stream := j_stream || v_started.stream;
        j_run := j_run || v_started.run;
        j_flow := j_flow || v_started.flow;
        j_step := j_step || v_started.step;
        j_activation := j_activation || v_started.activation;
        j_attempt := j_attempt || v_started.attempt;
        j_queue := j_queue || v_started.queue;
        j_priority := j_priority || v_started.priority::integer[];
        j_key := j_key || v_started.key;
        j_inputs := j_inputs || v_started.inputs;
        j_version := j_version || v_started.version::integer[];
    END LOOP;
END
$$
