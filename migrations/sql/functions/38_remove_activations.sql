-- Remove jobs and timers of activations (step, number), leased or not.
CREATE OR REPLACE FUNCTION runfold.remove_activations(
    p_log integer, p_place bigint, p_refusals integer[], p_streams bigint[],
    d_item integer[], d_step text[], d_activation integer[]
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM runfold.remove_jobs(p_log, p_place, ARRAY(
        SELECT found.ctid
        FROM unnest(d_item, d_step, d_activation) AS d (item, step, activation)
        CROSS JOIN LATERAL (
            SELECT j.ctid FROM runfold.jobs j
            WHERE j.log_id = p_log AND j.stream = p_streams[d.item]
                AND j.step = d.step AND j.activation = d.activation
            OFFSET 0
        ) found
        WHERE p_refusals[d.item] = 0
    ));
    DELETE FROM runfold.timers WHERE ctid = ANY (ARRAY(
        SELECT found.ctid
        FROM unnest(d_item, d_step, d_activation) AS d (item, step, activation)
        CROSS JOIN LATERAL (
            SELECT t.ctid FROM runfold.timers t
            WHERE t.log_id = p_log AND t.stream = p_streams[d.item]
                AND t.step = d.step AND t.activation = d.activation
            OFFSET 0
        ) found
        WHERE p_refusals[d.item] = 0
    ));
END
$$
