-- The events of items that are alike but for their states: each creates a stream, and the other
-- arrays have one element for each event of one item.
CREATE OR REPLACE FUNCTION runfold.write_alike(
    p_log integer, p_ts timestamptz, p_refusals integer[], p_streams bigint[], p_firsts bigint[],
    e_topic text[], e_step text[], e_activation integer[], e_attempt integer[], e_key text[],
    e_cause integer[], e_state bytea[], e_blob bytea[]
) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_count constant bigint := cardinality(e_topic);
BEGIN
    INSERT INTO runfold.events (
        position, stream, ts, log_id, version, activation, attempt, cause, topic, step, key,
        state, blob
    )
    SELECT p_firsts[e.item] + e.version - 1, p_streams[e.item], p_ts, p_log, e.version,
        e_activation[e.version], e_attempt[e.version], e_cause[e.version], e_topic[e.version],
        e_step[e.version], e_key[e.version], e.state, e.blob
    FROM (
        SELECT (s.place - 1) / v_count + 1 AS item, (s.place - 1) % v_count + 1 AS version,
            s.state, s.blob
        FROM unnest(e_state, e_blob) WITH ORDINALITY AS s (state, blob, place)
    ) e
    WHERE p_refusals[e.item] = 0;
END
$$
