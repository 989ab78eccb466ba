-- The numbers of the streams of these ids, null where there is none yet.
CREATE OR REPLACE FUNCTION runfold.streams_of(p_log integer, p_ids bytea[]) RETURNS bigint[]
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (
        SELECT array_agg(
            (SELECT s.stream FROM runfold.streams s WHERE s.log_id = p_log AND s.id = i.id)
        )
        FROM unnest(p_ids) AS i (id)
    );
END
$$
