-- How many more starts a bucket admits now; with no room, when time alone opens it (null: not
-- time, but a job that ends, or a hand).
CREATE OR REPLACE FUNCTION runfold.verdict(
    p_log integer, p_ts timestamptz, p_bucket text, OUT room integer, OUT due timestamptz
)
LANGUAGE plpgsql
AS $$
DECLARE
    v_until timestamptz;
    v_max integer;
    v_per interval;
BEGIN
    SELECT c.until, l.max, l.per * interval '1 second' INTO v_until, v_max, v_per
    FROM (VALUES (0)) AS one
    LEFT JOIN LATERAL (
        SELECT c.until FROM runfold.closures c
        WHERE c.log_id = p_log AND c.bucket = p_bucket AND c.until > p_ts LIMIT 1
    ) c ON true
    LEFT JOIN LATERAL (
        SELECT l.max, l.per FROM runfold.limits l
        WHERE l.log_id = p_log AND l.id = split_part(p_bucket, '=', 1) LIMIT 1
    ) l ON true;

    IF v_until IS NOT NULL THEN
        room := 0;
        due := nullif(v_until, timestamptz '9999-12-31 23:59:59.999999+00');
    ELSIF v_max IS NULL THEN
        room := 1 << 30;
    ELSIF v_per IS NULL THEN
        SELECT greatest(0, v_max - count(*)) INTO room
        FROM (
            SELECT FROM runfold.holds h WHERE h.log_id = p_log AND h.bucket = p_bucket LIMIT v_max
        ) held;
    ELSE
        SELECT v_max - count(*), CASE WHEN count(*) = v_max THEN min(started.at) + v_per END
        INTO room, due
        FROM (
            SELECT s.at FROM runfold.starts s
            WHERE s.log_id = p_log AND s.bucket = p_bucket AND s.at > p_ts - v_per
            ORDER BY s.at DESC, s.position DESC LIMIT v_max
        ) started;
    END IF;
END
$$
