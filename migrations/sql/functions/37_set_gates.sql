-- Set the gates of runs; their jobs are blocked while it is paused (1) or closed (2). What it
-- lets go on stands in its lane again, or at p_place: nothing is ready before a claim's floor.
CREATE OR REPLACE FUNCTION runfold.set_gates(
    p_log integer, p_place bigint, p_refusals integer[], p_streams bigint[], p_gates integer[]
) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    n integer;
    v_is_shut boolean;
    v_lanes runfold.jobs[];
    v_job runfold.jobs;
BEGIN
    FOR n IN 1 .. cardinality(p_gates) LOOP
        CONTINUE WHEN p_gates[n] IS NULL OR p_refusals[n] <> 0;
        v_is_shut := p_gates[n] IN (1, 2);
        UPDATE runfold.streams s SET gate = p_gates[n]
        WHERE s.log_id = p_log AND s.stream = p_streams[n];
        SELECT array_agg(j ORDER BY j.id) INTO v_lanes
        FROM runfold.jobs j
        WHERE j.log_id = p_log AND j.stream = p_streams[n] AND j.member IS NULL
            AND (j.blocked = 1) <> v_is_shut AND j.limits IS NOT NULL;
        UPDATE runfold.jobs j
        SET blocked = CASE WHEN v_is_shut THEN 1 WHEN j.limits IS NOT NULL THEN 2 ELSE 0 END,
            place = CASE WHEN v_is_shut THEN j.place ELSE greatest(j.id, p_place) END
        WHERE ctid = ANY (ARRAY(
            SELECT j.ctid FROM runfold.jobs j
            WHERE j.log_id = p_log AND j.stream = p_streams[n] AND j.member IS NULL
                AND (j.blocked = 1) <> v_is_shut
        ));
        CONTINUE WHEN v_lanes IS NULL;
        FOREACH v_job IN ARRAY v_lanes LOOP
            PERFORM runfold.settle(p_log, v_job.queue, v_job.limits, v_job.priority, p_place);
            IF v_job.blocked = 0 THEN
                PERFORM runfold.wake(
                    p_log, runfold.asked_of(v_job.limits, v_job.queue, v_job.key), p_place
                );
            END IF;
        END LOOP;
    END LOOP;
END
$$
