-- Remove every job and timer of the runs that end with an item.
CREATE OR REPLACE FUNCTION runfold.remove_all(
    p_log integer, p_place bigint, p_refusals integer[], p_streams bigint[], p_clears boolean[]
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM runfold.remove_jobs(p_log, p_place, ARRAY(
        SELECT found.ctid
        FROM unnest(p_streams, p_refusals, p_clears) AS i (stream, refusal, clears)
        CROSS JOIN LATERAL (
            SELECT j.ctid FROM runfold.jobs j
            WHERE j.log_id = p_log AND j.stream = i.stream OFFSET 0
        ) found
        WHERE i.refusal = 0 AND i.clears
    ));
    DELETE FROM runfold.timers WHERE ctid = ANY (ARRAY(
        SELECT found.ctid
        FROM unnest(p_streams, p_refusals, p_clears) AS i (stream, refusal, clears)
        CROSS JOIN LATERAL (
            SELECT t.ctid FROM runfold.timers t
            WHERE t.log_id = p_log AND t.stream = i.stream OFFSET 0
        ) found
        WHERE i.refusal = 0 AND i.clears
    ));
END
$$
