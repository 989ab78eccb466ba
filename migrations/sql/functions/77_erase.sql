-- Store p_states in place of the events of p_stream at p_versions, in the log or in the archive,
-- without their keys; remove their blobs unless another event has the same, and the timer p_timer.
CREATE OR REPLACE FUNCTION runfold.erase(
    p_log integer, p_stream bigint, p_versions integer[], p_states bytea[], p_timer bigint
) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
    v_blobs bytea[];
    v_hash bytea;
BEGIN
    PERFORM runfold.lock_log(p_log);
    SELECT array_agg(DISTINCT b.blob) INTO v_blobs
    FROM unnest(p_versions) AS wanted (version)
    CROSS JOIN LATERAL (
        SELECT e.blob FROM runfold.events e
        WHERE e.stream = p_stream AND e.log_id = p_log AND e.version = wanted.version
        UNION ALL
        SELECT a.blob FROM runfold.archive a
        WHERE a.stream = p_stream AND a.log_id = p_log AND a.version = wanted.version
    ) AS b
    WHERE b.blob IS NOT NULL;

    UPDATE runfold.events e SET state = rest.state, blob = NULL, key = NULL
    FROM unnest(p_versions, p_states) AS rest (version, state)
    WHERE e.stream = p_stream AND e.log_id = p_log AND e.version = rest.version;
    UPDATE runfold.archive a SET state = rest.state, blob = NULL, key = NULL
    FROM unnest(p_versions, p_states) AS rest (version, state)
    WHERE a.stream = p_stream AND a.log_id = p_log AND a.version = rest.version;

    FOREACH v_hash IN ARRAY coalesce(v_blobs, '{}') LOOP
        DELETE FROM runfold.blobs b
        WHERE b.log_id = p_log AND b.hash = v_hash
          AND NOT EXISTS (
              SELECT FROM runfold.events e
              WHERE e.log_id = p_log AND e.blob = v_hash AND e.blob IS NOT NULL
          )
          AND NOT EXISTS (
              SELECT FROM runfold.archive a
              WHERE a.log_id = p_log AND a.blob = v_hash AND a.blob IS NOT NULL
          );
    END LOOP;
    DELETE FROM runfold.timers t WHERE t.log_id = p_log AND t.id = p_timer;
END
$$
