-- The places below which a claim left nothing behind that it could take: where it scanned a
-- priority to its end, whatever is ready later stands at p_first or behind it.
CREATE OR REPLACE FUNCTION runfold.next_floors(
    p_given bigint[], p_first bigint, p_is_done boolean, p_priority integer, p_place bigint
) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF p_is_done THEN
        RETURN array_fill(p_first, ARRAY[10]);
    END IF;
    RETURN array_fill(p_first, ARRAY[10 - p_priority])
        || greatest(p_given[11 - p_priority], p_place)
        || p_given[12 - p_priority :];
END
$$
