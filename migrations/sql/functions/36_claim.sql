-- Lease ready jobs and record a step.started for each; p_last is the position before the
-- first of them. Claims are served in their order; each is told its next floors (ten of
-- s_floors) and how long to wait for what time holds back (-1: its token is no member's, who gets
-- nothing). s_moved: lanes were parked or woken.
--
-- The scan of a priority starts at its floor in the index of ready jobs and ends with the
-- limit. What it finds is leased as it is, unless heads of lanes are among it: then
-- runfold.walk asks their buckets one by one.
CREATE OR REPLACE FUNCTION runfold.claim(
    p_log integer, p_last bigint, p_ts timestamptz, c_queue text[], c_limit integer[],
    c_token bigint[], c_state bytea[], c_targets text[], c_floors bigint[],
    OUT j_id bigint[], OUT j_stream bigint[], OUT j_run bytea[], OUT j_flow text[],
    OUT j_step text[], OUT j_activation integer[], OUT j_attempt integer[], OUT j_queue text[],
    OUT j_priority integer[], OUT j_key text[], OUT j_inputs text[], OUT j_version integer[],
    OUT s_floors bigint[], OUT s_wait float8[], OUT s_moved boolean
)
LANGUAGE plpgsql
AS $$
DECLARE
    v_first constant bigint := p_last + 1;
    v_targets text[];
    v_given bigint[];
    v_floors bigint[];
    v_is_member boolean;
    v_is_limited boolean; -- the queue as a whole
    v_alarm timestamptz;
    v_room integer;
    v_wait float8;
    v_found tid[];
    v_has_lanes boolean;
    v_looks integer;
    v_jobs runfold.jobs[];
    v_started record;
    v_count integer;
BEGIN
    s_moved := false;
    FOR n IN 1 .. cardinality(c_queue) LOOP
        v_targets := string_to_array(c_targets[n], E'\x1e');
        v_given := coalesce(c_floors[10 * n - 9 : 10 * n], array_fill(0::bigint, ARRAY[10]));
        v_floors := v_given;
        v_room := c_limit[n];
        v_jobs := NULL;
        v_looks := NULL;
        FOR scan IN 1 .. 2 LOOP
            -- The inner LIMIT makes each scan short; the outer one ends the walk over priorities.
            SELECT array_agg(ready.ctid), bool_or(ready.is_head),
                EXISTS (
                    SELECT FROM runfold.members m
                    WHERE m.log_id = p_log AND m.token = c_token[n] OFFSET 0
                ),
                EXISTS (
                    SELECT FROM runfold.limits l
                    WHERE l.log_id = p_log AND l.scope = 'queue:' || c_queue[n] AND NOT l.keyed
                    OFFSET 0
                ) OR EXISTS (
                    SELECT FROM runfold.closures c
                    WHERE c.log_id = p_log AND c.bucket = 'queue:' || c_queue[n] OFFSET 0
                ),
                (
                    SELECT a.due_at FROM runfold.alarms a
                    WHERE a.log_id = p_log AND a.queue = c_queue[n] ORDER BY a.due_at LIMIT 1
                )
            INTO v_found, v_has_lanes, v_is_member, v_is_limited, v_alarm
            FROM (
                SELECT found.*
                FROM generate_series(10, 1, -1) AS level (priority)
                CROSS JOIN LATERAL (
                    SELECT j.ctid, j.limits IS NOT NULL AS is_head
                    FROM runfold.jobs j
                    WHERE j.log_id = p_log AND j.queue = c_queue[n]
                        AND j.priority = level.priority
                        AND j.place >= v_given[11 - level.priority]
                        AND j.member IS NULL AND j.blocked = 0
                        AND (
                            j.flow || E'\x1f' || j.step = ANY (v_targets) OR j.limits IS NOT NULL
                        )
                    ORDER BY j.place, j.id
                    LIMIT v_room
                ) found
                LIMIT v_room
            ) ready;
            EXIT WHEN NOT v_is_member;
            -- Once more if the queue as a whole has limits, or lanes are woken by their time.
            EXIT WHEN scan = 2 OR NOT (v_is_limited OR coalesce(v_alarm <= p_ts, false));
            IF v_is_limited THEN
                SELECT least(v_room, v.room) INTO v_room
                FROM runfold.verdict_on(p_log, p_ts, c_queue[n]) v;
                EXIT WHEN v_room = 0;
            END IF;
            IF v_alarm <= p_ts THEN
                PERFORM runfold.ring(p_log, p_ts, c_queue[n], p_last + 1);
                s_moved := true;
            END IF;
        END LOOP;

        IF NOT v_is_member THEN
            s_floors := s_floors || v_given;
            s_wait := s_wait || -1::float8;
            CONTINUE;
        END IF;

        IF v_room > 0 AND v_has_lanes THEN
            SELECT w.jobs, w.floors, w.looks, s_moved OR w.moved
            INTO v_jobs, v_floors, v_looks, s_moved
            FROM runfold.walk(
                p_log, p_ts, p_last, v_first, c_queue[n], c_token[n], c_limit[n], v_room,
                v_targets, v_given
            ) w;
            v_found := NULL;
        ELSIF v_room > 0 AND v_found IS NULL THEN
            v_floors := array_fill(v_first, ARRAY[10]);
        END IF;

        IF v_room > 0 AND (v_found IS NOT NULL OR v_jobs IS NOT NULL) THEN
            -- What was found is leased here, what was walked to has been.
            WITH found AS (
                UPDATE runfold.jobs j SET member = c_token[n]
                WHERE j.ctid = ANY (v_found)
                RETURNING j.id, j.stream, j.flow, j.step, j.activation, j.attempt, j.priority,
                    j.key, j.inputs, j.place
            ), leased AS (
                SELECT f.*, row_number() OVER (ORDER BY f.priority DESC, f.place, f.id) AS turn
                FROM found f
                UNION ALL
                SELECT w.id, w.stream, w.flow, w.step, w.activation, w.attempt, w.priority,
                    w.key, w.inputs, w.place, w.ordinality
                FROM unnest(v_jobs) WITH ORDINALITY AS w
            ), started AS (
                SELECT l.*, s.id AS run,
                    last.version + row_number() OVER (PARTITION BY l.stream ORDER BY l.turn)
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
                SELECT p_last + s.turn, s.stream, p_ts, p_log, s.version, s.activation,
                    s.attempt, 'step.started', s.step, s.key, c_state[n]
                FROM started s ORDER BY s.turn
            )
            SELECT array_agg(o.id) AS id, array_agg(o.stream) AS stream, array_agg(o.run) AS run,
                array_agg(o.flow) AS flow, array_agg(o.step) AS step,
                array_agg(o.activation) AS activation, array_agg(o.attempt) AS attempt,
                array_agg(c_queue[n]) AS queue, array_agg(o.priority) AS priority,
                array_agg(o.key) AS key, array_agg(o.inputs) AS inputs,
                array_agg(o.version) AS version, array_agg(o.place) AS place
            INTO v_started
            FROM (SELECT * FROM started ORDER BY turn) o;
            v_count := cardinality(v_started.id);
            IF v_is_limited THEN
                PERFORM runfold.count_starts(p_log, p_ts, v_started.id, p_last + 1, ARRAY(
                    SELECT l.id FROM runfold.limits l
                    WHERE l.log_id = p_log AND l.scope = 'queue:' || c_queue[n] AND NOT l.keyed
                ));
            END IF;

            IF v_jobs IS NULL THEN
                v_floors := runfold.next_floors(
                    v_given, v_first, v_count < v_room, v_started.priority[v_count],
                    v_started.place[v_count]
                );
            END IF;

            p_last := p_last + v_count;
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
        END IF;

        s_floors := s_floors || v_floors;
        IF v_looks = 0 THEN
            v_wait := 0;
        ELSIF v_is_limited OR v_alarm IS NOT NULL OR v_has_lanes THEN
            v_wait := runfold.wait_for(p_log, p_ts, c_queue[n]);
        ELSE
            v_wait := NULL;
        END IF;
        s_wait := s_wait || v_wait;
    END LOOP;
END
$$
