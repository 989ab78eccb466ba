-- Record a batch: take the log's lock, answer every guard, write the items whose guards
-- held, serve the claims. See runfold.ports for what each part means.
--
-- Parallel arrays: one element an item (p_streams ...), an event (e_ ...), a row (r_ ...), a
-- drop (d_ ...), a blob (b_ ...) or a claim (c_ ...); an array that no element needs is null.
-- e_item, r_item, d_item, b_item and p_ends are places of items, from 1; e_index and r_event are
-- places of events in their item, from 0. p_settings is what runfold.set_limits takes.
--
-- Items that are alike: e_item and r_item are null, and all arrays of events and rows but e_state
-- and e_blob are those of one item.
--
-- What items let be ready that is not new stands behind all that was ready before: at the
-- position of the batch's first event.
--
-- The plans are made once, maybe while a table is empty, and must be right when it is full. So
-- every probe stands in a subquery that the planner keeps apart (a scalar one, a LATERAL one
-- with LIMIT or OFFSET), by all columns of one key; rows are changed by the ctid found so:
-- nobody else changes them under the lock.
CREATE OR REPLACE FUNCTION runfold.commit(
    p_log integer, p_appender bigint, p_number bigint, p_now timestamptz,
    p_streams bigint[], p_counts integer[], p_ids bytea[], p_flows text[], p_twins boolean,
    p_versions integer[], p_gates integer[], p_leaders bigint[],
    p_leases bigint[], p_tokens bigint[], p_frees boolean[],
    p_timers bigint[], p_stalled bigint[], p_inbox bigint[],
    p_clears boolean[], p_set_gate integer[], p_ends integer[], p_settings jsonb,
    e_item integer[], e_index integer[], e_topic text[], e_step text[], e_activation integer[],
    e_attempt integer[], e_key text[], e_cause integer[], e_state bytea[], e_blob bytea[],
    r_item integer[], r_event integer[], r_kind text[], r_due timestamptz[], r_delay float8[],
    r_flow text[], r_step text[], r_activation integer[], r_attempt integer[],
    r_queue text[], r_priority integer[], r_key text[], r_inputs text[], r_limits text[],
    d_item integer[], d_step text[], d_activation integer[],
    b_item integer[], b_hash bytea[], b_body bytea[],
    c_queue text[], c_limit integer[], c_token bigint[], c_state bytea[], c_targets text[],
    c_floors bigint[],
    OUT repeated boolean, OUT ts timestamptz, OUT first_position bigint, OUT outcomes text,
    OUT refusals integer[], OUT streams bigint[], OUT firsts bigint[], OUT bases integer[],
    OUT j_first bigint,
    OUT j_id bigint[], OUT j_stream bigint[], OUT j_run bytea[], OUT j_flow text[],
    OUT j_step text[], OUT j_activation integer[], OUT j_attempt integer[], OUT j_queue text[],
    OUT j_priority integer[], OUT j_key text[], OUT j_inputs text[], OUT j_version integer[],
    OUT s_floors bigint[], OUT s_wait float8[]
)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_material = off
SET jit = off
AS $$
DECLARE
    v_now timestamptz;
    v_last bigint;
    v_ts timestamptz;
    v_leader bigint;
    v_taken bigint[];
    v_leased boolean[];
    v_there boolean[];
    v_at integer[];
    v_recorded bigint;
    v_moved boolean;
BEGIN
    PERFORM runfold.lock_log(p_log);

    SELECT b.number IS NOT NULL, b.first_position, b.at, b.outcomes, e.position, e.ts
    INTO repeated, first_position, ts, outcomes, v_last, v_ts
    FROM (VALUES (0)) AS one
    LEFT JOIN LATERAL (
        SELECT * FROM runfold.batches b
        WHERE b.log_id = p_log AND b.appender = p_appender AND b.number = p_number LIMIT 1
    ) b ON true
    LEFT JOIN LATERAL (
        SELECT e.position, e.ts
        FROM runfold.events e WHERE e.log_id = p_log ORDER BY e.position DESC LIMIT 1
    ) e ON true;
    IF repeated THEN
        RETURN;
    END IF;
    v_now := coalesce(p_now, clock_timestamp());
    v_last := coalesce(v_last, 0);
    ts := greatest(v_now, v_ts);

    IF p_streams IS NOT NULL THEN
        -- Every guard, before anything is written. What few items need is looked up apart.
        IF p_ids IS NOT NULL THEN
            v_taken := runfold.streams_of(p_log, p_ids);
        END IF;
        IF p_leaders IS NOT NULL THEN
            SELECT l.token INTO v_leader
            FROM runfold.leaders l WHERE l.log_id = p_log AND l.role = 'dispatcher';
        END IF;
        IF p_leases IS NOT NULL THEN
            v_leased := runfold.are_leased(p_log, p_leases, p_tokens);
        END IF;
        IF p_timers IS NOT NULL OR p_stalled IS NOT NULL OR p_inbox IS NOT NULL THEN
            v_there := runfold.are_there(p_log, v_now, p_streams, p_timers, p_stalled, p_inbox);
        END IF;
        -- The order of the answers is that of ports.Refusal.
        SELECT array_agg(
                CASE
                    WHEN i.taken IS NOT NULL THEN 1
                    WHEN i.id IS NULL AND s.gate IS NULL THEN 2
                    WHEN i.leader IS NOT NULL AND v_leader IS DISTINCT FROM i.leader THEN 3
                    WHEN NOT i.leased THEN 4
                    WHEN NOT i.there THEN 5
                    -- A stream whose last event is in the archive has ended long ago.
                    WHEN i.events > 0 AND i.id IS NULL AND coalesce(last.topic, 'flow.completed')
                        IN ('flow.completed', 'flow.failed', 'flow.cancelled') THEN 6
                    WHEN (coalesce(i.gates, 15) >> coalesce(s.gate, 0)) & 1 = 0 THEN 7
                    WHEN i.version <> coalesce(last.version, 0) THEN 8
                    ELSE 0
                END
            ),
            array_agg(coalesce(i.taken, i.stream)), array_agg(coalesce(last.version, 0))
        INTO refusals, streams, v_at
        FROM unnest(
            p_streams, p_counts, p_ids, p_versions, p_gates, p_leaders, v_taken, v_leased, v_there
        ) AS i (stream, events, id, version, gates, leader, taken, leased, there)
        LEFT JOIN LATERAL (
            SELECT s.gate FROM runfold.streams s
            WHERE s.log_id = p_log AND s.stream = i.stream AND i.id IS NULL LIMIT 1
        ) s ON true
        LEFT JOIN LATERAL (
            SELECT e.version, e.topic FROM runfold.events e
            WHERE e.log_id = p_log AND e.stream = i.stream AND i.id IS NULL
            ORDER BY e.version DESC LIMIT 1
        ) last ON true;
        IF p_twins THEN
            refusals := runfold.refuse_twins(p_ids, refusals);
        END IF;

        IF cardinality(p_streams) = 1 THEN
            firsts := ARRAY[v_last + 1];
            bases := v_at;
            v_recorded := CASE WHEN refusals[1] = 0 THEN p_counts[1] ELSE 0 END;
            IF p_ids IS NOT NULL AND refusals[1] = 0 THEN
                streams := firsts;
            END IF;
        ELSE
            SELECT p.firsts, p.bases, p.streams, p.recorded
            INTO firsts, bases, streams, v_recorded
            FROM runfold.places(v_last, p_ids, p_counts, refusals, streams, v_at) p;
        END IF;
        IF p_twins THEN
            streams := runfold.streams_of_twins(p_ids, refusals, streams);
        END IF;

        IF v_recorded > 0 AND e_item IS NULL THEN
            PERFORM runfold.write_alike(
                p_log, ts, refusals, streams, firsts, e_topic, e_step, e_activation, e_attempt,
                e_key, e_cause, e_state, e_blob
            );
        ELSIF v_recorded > 0 THEN
            INSERT INTO runfold.events (
                position, stream, ts, log_id, version, activation, attempt, cause, topic, step,
                key, state, blob
            )
            SELECT firsts[e.item] + e.index, streams[e.item], commit.ts, p_log,
                bases[e.item] + e.index + 1, e.activation, e.attempt, e.cause, e.topic, e.step,
                e.key, e.state, e.blob
            FROM unnest(
                e_item, e_index, e_topic, e_step, e_activation, e_attempt, e_key, e_cause,
                e_state, e_blob
            ) AS e (
                item, index, topic, step, activation, attempt, key, cause, state, blob
            )
            WHERE refusals[e.item] = 0;
        END IF;

        IF b_hash IS NOT NULL THEN
            INSERT INTO runfold.blobs (log_id, hash, body)
            SELECT p_log, b.hash, b.body FROM unnest(b_item, b_hash, b_body) AS b (item, hash, body)
            WHERE refusals[b.item] = 0
            ON CONFLICT DO NOTHING; -- The same content: written by whoever was first.
        END IF;
        IF p_ids IS NOT NULL OR p_ends IS NOT NULL THEN
            PERFORM runfold.write_runs(
                p_log, refusals, streams, p_ids, p_flows, p_set_gate, p_ends
            );
        END IF;
        IF p_settings IS NOT NULL THEN
            PERFORM runfold.set_limits(p_log, ts, v_last + 1, refusals, p_settings);
        END IF;
        IF p_frees IS NOT NULL OR p_timers IS NOT NULL OR p_stalled IS NOT NULL
            OR p_inbox IS NOT NULL OR p_clears IS NOT NULL OR p_set_gate IS NOT NULL
            OR d_item IS NOT NULL
        THEN
            PERFORM runfold.remove_work(
                p_log, v_last + 1, refusals, streams, firsts, p_set_gate, p_leases, p_frees,
                p_timers, p_stalled, p_inbox, p_clears, d_item, d_step, d_activation
            );
        END IF;
        IF r_event IS NOT NULL THEN
            PERFORM runfold.add_work(
                p_log, ts, v_last + 1, refusals, streams, firsts, r_item, r_event, r_kind, r_due,
                r_delay, r_flow, r_step, r_activation, r_attempt, r_queue, r_priority, r_key,
                r_inputs, r_limits
            );
        END IF;
    END IF;

    v_recorded := coalesce(v_recorded, 0);
    IF c_queue IS NOT NULL THEN
        j_first := v_last + v_recorded + 1;
        SELECT c.* INTO j_id, j_stream, j_run, j_flow, j_step, j_activation, j_attempt, j_queue,
            j_priority, j_key, j_inputs, j_version, s_floors, s_wait, v_moved
        FROM runfold.claim(
            p_log, v_last + v_recorded, ts, c_queue, c_limit, c_token, c_state, c_targets,
            c_floors
        ) c;
        v_recorded := v_recorded + coalesce(cardinality(j_id), 0);
    END IF;

    first_position := CASE WHEN v_recorded > 0 THEN v_last + 1 ELSE 0 END;
    IF p_streams IS NULL AND v_recorded = 0 AND NOT v_moved THEN
        RETURN; -- A claim that found nothing changed nothing: nothing to answer twice.
    END IF;
    IF 0 < ANY (refusals) THEN
        SELECT '[' || string_agg(format('[%s, %s, %s]', r.place - 1, r.refusal, r.stream), ', '
            ORDER BY r.place) || ']'
        INTO outcomes
        FROM unnest(refusals, streams) WITH ORDINALITY AS r (refusal, stream, place)
        WHERE r.refusal > 0;
    END IF;
    INSERT INTO runfold.batches (appender, number, first_position, at, log_id, outcomes)
    VALUES (p_appender, p_number, commit.first_position, commit.ts, p_log, commit.outcomes);
END
$$
