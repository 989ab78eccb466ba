-- Take or keep a role of the log until p_ttl seconds from now; false while another token
-- holds it. Under the log's lock: a takeover is ordered with every commit that the old token
-- guards.
CREATE OR REPLACE FUNCTION runfold.lead(
    p_log integer, p_role text, p_token bigint, p_ttl float8, p_now timestamptz
) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_now timestamptz;
BEGIN
    PERFORM runfold.lock_log(p_log);
    v_now := coalesce(p_now, clock_timestamp());
    INSERT INTO runfold.leaders AS l (token, expires_at, log_id, role)
    VALUES (p_token, v_now + p_ttl * interval '1 second', p_log, p_role)
    ON CONFLICT (log_id, role) DO UPDATE
    SET token = excluded.token, expires_at = excluded.expires_at
    WHERE l.token = excluded.token OR l.expires_at <= v_now;
    RETURN found;
END
$$
