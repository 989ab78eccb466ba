-- Set the gates of runs; their ready jobs are blocked while it is paused (1) or closed (2).
CREATE OR REPLACE FUNCTION runfold.set_gates(
    p_log integer, p_refusals integer[], p_streams bigint[], p_gates integer[]
) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    n integer;
BEGIN
    FOR n IN 1 .. cardinality(p_gates) LOOP
        CONTINUE WHEN p_gates[n] IS NULL OR p_refusals[n] <> 0;
        UPDATE runfold.streams s SET gate = p_gates[n]
        WHERE s.log_id = p_log AND s.stream = p_streams[n];
        UPDATE runfold.jobs SET blocked = p_gates[n] IN (1, 2)
        WHERE ctid = ANY (ARRAY(
            SELECT j.ctid FROM runfold.jobs j
            WHERE j.log_id = p_log AND j.stream = p_streams[n] AND j.member IS NULL
                AND j.blocked <> (p_gates[n] IN (1, 2))
        ));
    END LOOP;
END
$$
