-- Two items of one batch that create the same stream: the later one EXISTS (1), unless the
-- earlier one was refused itself. Given the refusals of the items, return them corrected.
CREATE OR REPLACE FUNCTION runfold.refuse_twins(p_ids bytea[], p_refusals integer[]) RETURNS integer[]
LANGUAGE plpgsql
AS $$
BEGIN
    FOR n IN 2 .. cardinality(p_ids) LOOP
        IF p_ids[n] IS NOT NULL AND EXISTS (
            SELECT FROM unnest(p_ids, p_refusals) WITH ORDINALITY AS i (id, refusal, place)
            WHERE i.place < n AND i.id = p_ids[n] AND i.refusal = 0
        ) THEN
            p_refusals[n] := 1;
        END IF;
    END LOOP;
    RETURN p_refusals;
END
$$
