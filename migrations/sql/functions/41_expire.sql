-- Remove at most p_limit members whose time is over; return how many. Under the log's lock:
-- whoever was removed holds nothing for any later commit.
CREATE OR REPLACE FUNCTION runfold.expire(p_log integer, p_limit integer, p_now timestamptz)
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_now timestamptz;
    v_count integer;
BEGIN
    PERFORM runfold.lock_log(p_log);
    v_now := coalesce(p_now, clock_timestamp());
    DELETE FROM runfold.members m
    USING (
        SELECT o.token FROM runfold.members o
        WHERE o.log_id = p_log AND o.expires_at <= v_now
        ORDER BY o.expires_at LIMIT p_limit
    ) over
    WHERE m.log_id = p_log AND m.token = over.token
        AND m.expires_at <= v_now; -- It may just have renewed.
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END
$$
