-- Count jobs that are leased in these buckets, where they are of a limit: their step.started
-- stand at p_first and behind it. Who adds starts removes some that no limit counts any more.
CREATE OR REPLACE FUNCTION runfold.count_starts(
    p_log integer, p_ts timestamptz, p_jobs bigint[], p_first bigint, p_buckets text[]
) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_counted text[];
    v_rated text[];
    v_until timestamptz[];
BEGIN
    SELECT array_agg(b.bucket) FILTER (WHERE l.per IS NULL),
        array_agg(b.bucket) FILTER (WHERE l.per IS NOT NULL),
        array_agg(p_ts + l.per * interval '1 second') FILTER (WHERE l.per IS NOT NULL)
    INTO v_counted, v_rated, v_until
    FROM unnest(p_buckets) AS b (bucket)
    CROSS JOIN LATERAL (
        SELECT l.per FROM runfold.limits l
        WHERE l.log_id = p_log AND l.id = split_part(b.bucket, '=', 1) LIMIT 1
    ) l;

    IF v_counted IS NOT NULL THEN
        INSERT INTO runfold.holds (job, log_id, bucket)
        SELECT j.job, p_log, b.bucket
        FROM unnest(v_counted) AS b (bucket) CROSS JOIN unnest(p_jobs) AS j (job);
    END IF;
    IF v_rated IS NOT NULL THEN
        DELETE FROM runfold.starts WHERE ctid = ANY (ARRAY(
            SELECT s.ctid FROM runfold.starts s
            WHERE s.log_id = p_log AND s.over_at <= p_ts
            ORDER BY s.over_at LIMIT 2 * cardinality(v_rated) * cardinality(p_jobs) + 8
        ));
        INSERT INTO runfold.starts (at, position, over_at, log_id, bucket)
        SELECT p_ts, p_first + j.place - 1, b.until, p_log, b.bucket
        FROM unnest(v_rated, v_until) AS b (bucket, until)
        CROSS JOIN unnest(p_jobs) WITH ORDINALITY AS j (job, place);
    END IF;
END
$$
