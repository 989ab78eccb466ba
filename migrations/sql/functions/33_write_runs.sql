-- Of the items that are recorded: the streams that they create and the runs that they end.
CREATE OR REPLACE FUNCTION runfold.write_runs(
    p_log integer, p_refusals integer[], p_streams bigint[],
    p_ids bytea[], p_flows text[], p_set_gate integer[], p_ends integer[]
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF p_ids IS NOT NULL THEN
        INSERT INTO runfold.streams (stream, log_id, gate, id, flow)
        SELECT i.stream, p_log, coalesce(i.gate, 0), i.id, i.flow
        FROM unnest(p_streams, p_refusals, p_ids, p_flows, p_set_gate)
            AS i (stream, refusal, id, flow, gate)
        WHERE i.refusal = 0 AND i.id IS NOT NULL;

        INSERT INTO runfold.open_runs (stream, log_id)
        SELECT i.stream, p_log
        FROM unnest(p_streams, p_refusals, p_ids, p_flows) AS i (stream, refusal, id, flow)
        WHERE i.refusal = 0 AND i.id IS NOT NULL AND i.flow IS NOT NULL;
    END IF;

    IF p_ends IS NOT NULL THEN
        DELETE FROM runfold.open_runs WHERE ctid = ANY (ARRAY(
            SELECT found.ctid
            FROM unnest(p_ends) AS e (item)
            CROSS JOIN LATERAL (
                SELECT r.ctid FROM runfold.open_runs r
                WHERE r.log_id = p_log AND r.stream = p_streams[e.item] LIMIT 1
            ) found
            WHERE p_refusals[e.item] = 0
        ));
    END IF;
END
$$
