-- Take over what items say about limits, closures, and jobs and timers that are there: an array of
--   {"item": 1, "limits": [[scope, [[id, kind, max, per, keyed], ...]], ...],
--    "closures": [[bucket, until], ...], "holds": [job, until, seconds],
--    "changes": [[id, inputs, due_at, seconds], ...]}
-- with places of items from 1. A closure without an end is until 9999, an opening has null.
CREATE OR REPLACE FUNCTION runfold.set_limits(
    p_log integer, p_ts timestamptz, p_place bigint, p_refusals integer[], p_settings jsonb
) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_item jsonb;
    v_part jsonb;
    v_until timestamptz;
BEGIN
    FOR v_item IN SELECT s.value FROM jsonb_array_elements(p_settings) s LOOP
        CONTINUE WHEN p_refusals[(v_item ->> 'item')::integer] <> 0;
        FOR v_part IN SELECT s.value FROM jsonb_array_elements(v_item -> 'limits') s LOOP
            PERFORM runfold.replace_limits(p_log, p_place, v_part ->> 0, v_part -> 1);
        END LOOP;

        IF v_item ? 'closures' OR v_item ? 'holds' THEN
            DELETE FROM runfold.closures WHERE ctid = ANY (ARRAY(
                SELECT c.ctid FROM runfold.closures c
                WHERE c.log_id = p_log AND c.until <= p_ts
                ORDER BY c.until LIMIT 100
            ));
        END IF;
        FOR v_part IN SELECT s.value FROM jsonb_array_elements(v_item -> 'closures') s LOOP
            v_until := (v_part ->> 1)::timestamptz;
            IF v_until IS NULL THEN
                DELETE FROM runfold.closures c WHERE c.log_id = p_log AND c.bucket = v_part ->> 0;
            ELSE
                INSERT INTO runfold.closures (until, log_id, bucket)
                VALUES (v_until, p_log, v_part ->> 0)
                ON CONFLICT (log_id, bucket) DO UPDATE SET until = excluded.until;
            END IF;
            -- Closed as well: until when may be sooner than what those who wait were told.
            PERFORM runfold.wake(p_log, ARRAY[v_part ->> 0], p_place);
        END LOOP;

        FOR v_part IN SELECT s.value FROM jsonb_array_elements(v_item -> 'changes') s LOOP
            UPDATE runfold.jobs j SET inputs = coalesce(v_part ->> 1, j.inputs)
            WHERE j.log_id = p_log AND j.id = (v_part ->> 0)::bigint;
            UPDATE runfold.timers t SET
                inputs = coalesce(v_part ->> 1, t.inputs),
                due_at = coalesce(
                    (v_part ->> 2)::timestamptz,
                    p_ts + (v_part ->> 3)::float8 * interval '1 second',
                    t.due_at
                )
            WHERE t.log_id = p_log AND t.id = (v_part ->> 0)::bigint;
        END LOOP;

        v_part := v_item -> 'holds';
        IF v_part IS NOT NULL THEN
            INSERT INTO runfold.closures AS c (until, log_id, bucket)
            SELECT coalesce(
                    (v_part ->> 1)::timestamptz,
                    p_ts + (v_part ->> 2)::float8 * interval '1 second'
                ),
                p_log, asked.bucket
            FROM (
                SELECT unnest(string_to_array(j.limits, E'\x1e')) AS bucket
                FROM runfold.jobs j
                WHERE j.log_id = p_log AND j.id = (v_part ->> 0)::bigint
                UNION
                SELECT l.id
                FROM runfold.jobs j
                JOIN runfold.limits l ON l.log_id = p_log AND l.scope = 'queue:' || j.queue
                WHERE j.log_id = p_log AND j.id = (v_part ->> 0)::bigint AND NOT l.keyed
            ) asked
            ON CONFLICT (log_id, bucket) DO UPDATE SET until = excluded.until
            WHERE c.until < excluded.until;
        END IF;
    END LOOP;
END
$$
