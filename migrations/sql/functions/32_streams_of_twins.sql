-- Given the streams of the items, return them with that of its twin for each item that was
-- refused because an earlier one of the batch creates the same stream.
CREATE OR REPLACE FUNCTION runfold.streams_of_twins(
    p_ids bytea[], p_refusals integer[], p_streams bigint[]
) RETURNS bigint[]
LANGUAGE sql
AS $$
    SELECT array_agg(coalesce(twin.stream, i.stream) ORDER BY i.place)
    FROM unnest(p_ids, p_refusals, p_streams) WITH ORDINALITY AS i (id, refusal, stream, place)
    LEFT JOIN LATERAL (
        SELECT t.stream FROM unnest(p_ids, p_refusals, p_streams) AS t (id, refusal, stream)
        WHERE i.refusal = 1 AND t.id = i.id AND t.refusal = 0
    ) twin ON true
$$
