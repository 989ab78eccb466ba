-- Let these be the limits of a scope, [[id, kind, max, per, keyed], ...], and count for them what
-- is leased now. Every lane that is parked on one of the scope tries again: numbers may have
-- grown. The same limits again change nothing.
CREATE OR REPLACE FUNCTION runfold.replace_limits(
    p_log integer, p_place bigint, p_scope text, p_limits jsonb
) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_queues text[];
    v_lanes text[];
BEGIN
    IF (
        SELECT coalesce(jsonb_agg(
            jsonb_build_array(l.id, l.kind, l.max, l.per, l.keyed) ORDER BY l.id
        ), '[]')
        FROM runfold.limits l WHERE l.log_id = p_log AND l.scope = p_scope
    ) = (
        SELECT coalesce(jsonb_agg(w.value ORDER BY w.value ->> 0), '[]')
        FROM jsonb_array_elements(p_limits) w
    ) THEN
        RETURN;
    END IF;

    DELETE FROM runfold.limits l WHERE l.log_id = p_log AND l.scope = p_scope;
    INSERT INTO runfold.limits (per, log_id, max, keyed, id, scope, kind)
    SELECT (w.value ->> 3)::float8, p_log, (w.value ->> 2)::integer, (w.value ->> 4)::boolean,
        w.value ->> 0, p_scope, w.value ->> 1
    FROM jsonb_array_elements(p_limits) w;

    DELETE FROM runfold.holds h WHERE h.log_id = p_log AND starts_with(h.bucket, p_scope || '#');
    INSERT INTO runfold.holds (job, log_id, bucket)
    SELECT DISTINCT j.id, p_log, asked.bucket
    FROM runfold.jobs j
    CROSS JOIN LATERAL (
        SELECT lane.bucket FROM unnest(string_to_array(j.limits, E'\x1e')) AS lane (bucket)
        UNION
        SELECT whole.id FROM runfold.limits whole
        WHERE whole.log_id = p_log AND whole.scope = 'queue:' || j.queue AND NOT whole.keyed
    ) asked
    JOIN runfold.limits l
        ON l.log_id = p_log AND l.scope = p_scope AND l.per IS NULL
        AND l.id = split_part(asked.bucket, '=', 1)
    WHERE j.log_id = p_log AND j.member IS NOT NULL;

    SELECT array_agg(p.queue), array_agg(p.lane) INTO v_queues, v_lanes
    FROM runfold.parked p
    WHERE p.log_id = p_log AND starts_with(p.bucket, p_scope || '#');
    IF v_lanes IS NOT NULL THEN
        PERFORM runfold.wake_lanes(p_log, v_queues, v_lanes, p_place);
    END IF;
END
$$
