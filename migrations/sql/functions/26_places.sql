-- Where the events of the items go: positions follow the order of the items, versions that of
-- the items of a stream (p_at is the version that each stream is at). A stream that an item
-- creates has the position of its first event as its number.
CREATE OR REPLACE FUNCTION runfold.places(
    p_last bigint, p_ids bytea[], p_counts integer[], p_refusals integer[], p_streams bigint[],
    p_at integer[],
    OUT firsts bigint[], OUT bases integer[], OUT streams bigint[], OUT recorded bigint
)
LANGUAGE plpgsql
AS $$
BEGIN
    SELECT array_agg(n.first), array_agg(n.base),
        array_agg(CASE WHEN n.is_new THEN n.first ELSE n.stream END), sum(n.events)
    INTO firsts, bases, streams, recorded
    FROM (
        SELECT c.stream, c.events, c.is_new,
            p_last + 1 + sum(c.events) OVER (ORDER BY c.place) - c.events AS first,
            c.at + sum(c.events) OVER (
                PARTITION BY CASE WHEN c.is_new THEN -c.place ELSE c.stream END
                ORDER BY c.place
            ) - c.events AS base
        FROM (
            SELECT i.stream, i.at, i.place, i.id IS NOT NULL AND i.refusal = 0 AS is_new,
                CASE WHEN i.refusal = 0 THEN i.events ELSE 0 END AS events
            FROM unnest(p_streams, p_at, p_counts, p_refusals, p_ids)
                WITH ORDINALITY AS i (stream, at, events, refusal, id, place)
        ) c
        ORDER BY c.place
    ) n;
END
$$
