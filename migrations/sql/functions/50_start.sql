-- Start a run from SQL, in any language: write a row into the inbox, in the caller's own
-- transaction. Nothing is locked; the engine records the start when that has committed.
-- Returns the id of the run, which for a key is the same whoever asks.
--
--     SELECT runfold.start('ship-order', '{"order": 7}', key => 'order-7');
CREATE OR REPLACE FUNCTION runfold.start(
    flow text,
    input jsonb DEFAULT NULL,
    key text DEFAULT NULL,
    tags text[] DEFAULT NULL,
    namespace text DEFAULT 'default',
    run_at timestamptz DEFAULT NULL,
    delay float8 DEFAULT NULL,
    deadline float8 DEFAULT NULL,
    priority integer DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql
AS $$
DECLARE
    v_log integer;
    v_id uuid;
    v_body jsonb;
    v_wrong text;
    v_longest constant float8 := 100 * 366 * 86400.0; -- NaN is greater, too.
BEGIN
    v_wrong := CASE
        WHEN start.priority NOT BETWEEN 1 AND 10 THEN 'priority is not 1 to 10'
        WHEN start.run_at IS NOT NULL AND start.delay IS NOT NULL
            THEN 'run_at and delay were both given'
        WHEN NOT isfinite(start.run_at) THEN 'run_at is not a moment'
        WHEN start.delay < 0 OR start.delay > v_longest THEN 'delay is not 0 or more seconds'
        WHEN start.deadline < 0 OR start.deadline > v_longest
            THEN 'deadline is not 0 or more seconds'
        WHEN start.key = '' OR length(start.key) > 500 THEN 'key is not 1 to 500 characters'
        WHEN cardinality(start.tags) > 50 OR EXISTS (
            SELECT FROM unnest(start.tags) t WHERE t IS NULL OR t = '' OR length(t) > 500
        ) THEN 'tags are not at most 50 texts of 1 to 500 characters'
    END;
    IF v_wrong IS NOT NULL THEN
        RAISE EXCEPTION '%', v_wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;

    SELECT l.log_id INTO v_log FROM runfold.logs l WHERE l.name = start.namespace;
    IF NOT EXISTS (
        SELECT FROM runfold.streams s
        WHERE s.log_id = v_log
            AND s.id = uuid_send(runfold.keyed_id(v_log::text, 'flow.defined', start.flow))
    ) THEN
        RAISE EXCEPTION 'no flow or job named % was ever served in namespace %',
            quote_literal(start.flow), quote_literal(start.namespace)
            USING ERRCODE = 'undefined_object', HINT = 'Serve it once, then start it.';
    END IF;

    v_id := CASE WHEN start.key IS NULL THEN gen_random_uuid()
        ELSE runfold.keyed_id(v_log::text, start.flow, start.key) END;
    -- Outer nulls are options that were not given; nulls inside the input are data.
    v_body := jsonb_strip_nulls(jsonb_build_object(
        'target', flow, 'key', key, 'tags', tags, 'due_at', run_at, 'delay', delay,
        'deadline', deadline, 'priority', priority
    )) || jsonb_build_object('input', input);
    INSERT INTO runfold.inbox (created_at, log_id, run_id, body)
    VALUES (clock_timestamp(), v_log, uuid_send(v_id), v_body::text);
    RETURN v_id;
END
$$
