-- Move those of p_streams that are ended runs to the archive, whole and in this order, until
-- p_events events were moved; return how many were. The run of the newest event stays, and its
-- timer is put off by p_again seconds.
CREATE OR REPLACE FUNCTION runfold.archive(
    p_log integer, p_streams bigint[], p_now timestamptz, p_events integer, p_again float8
) RETURNS integer
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
    v_newest bigint;
    v_stream bigint;
    v_count bigint;
    v_events bigint := 0;
    v_runs integer := 0;
BEGIN
    PERFORM runfold.lock_log(p_log);
    SELECT e.stream INTO v_newest
    FROM runfold.events e WHERE e.log_id = p_log ORDER BY e.position DESC LIMIT 1;

    FOREACH v_stream IN ARRAY p_streams LOOP
        CONTINUE WHEN NOT EXISTS (
            SELECT FROM runfold.streams s
            WHERE s.log_id = p_log AND s.stream = v_stream AND s.flow IS NOT NULL
        ) OR EXISTS (
            SELECT FROM runfold.open_runs o WHERE o.log_id = p_log AND o.stream = v_stream
        );
        IF v_stream = v_newest THEN
            UPDATE runfold.timers t
            SET due_at = coalesce(p_now, clock_timestamp()) + p_again * interval '1 second'
            WHERE t.log_id = p_log AND t.stream = v_stream AND t.kind = 'archive';
            CONTINUE;
        END IF;
        EXIT WHEN v_events >= p_events;
        INSERT INTO runfold.archive (
            position, stream, ts, log_id, version, activation, attempt, cause, topic, step, key,
            state, blob, chain
        )
        SELECT e.position, e.stream, e.ts, e.log_id, e.version, e.activation, e.attempt, e.cause,
            e.topic, e.step, e.key, e.state, e.blob, e.chain
        FROM runfold.events e WHERE e.log_id = p_log AND e.stream = v_stream;
        GET DIAGNOSTICS v_count = ROW_COUNT;
        DELETE FROM runfold.events e WHERE e.log_id = p_log AND e.stream = v_stream;
        DELETE FROM runfold.timers t
        WHERE t.log_id = p_log AND t.stream = v_stream AND t.kind = 'archive';
        v_events := v_events + v_count;
        v_runs := v_runs + (v_count > 0)::integer;
    END LOOP;
    RETURN v_runs;
END
$$
