-- Whether each job is leased by the member of its token; true where none is named.
CREATE OR REPLACE FUNCTION runfold.are_leased(p_log integer, p_leases bigint[], p_tokens bigint[])
RETURNS boolean[]
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (
        SELECT array_agg(
            i.lease IS NULL OR (
                SELECT j.member FROM runfold.jobs j WHERE j.log_id = p_log AND j.id = i.lease
            ) IS NOT DISTINCT FROM i.token
        )
        FROM unnest(p_leases, p_tokens) AS i (lease, token)
    );
END
$$
