-- Remember when time opens a bucket on which lanes of the queue are parked.
CREATE OR REPLACE FUNCTION runfold.expect(
    p_log integer, p_queue text, p_bucket text, p_due timestamptz
) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO runfold.alarms AS a (due_at, log_id, queue, bucket)
    VALUES (p_due, p_log, p_queue, p_bucket)
    ON CONFLICT (log_id, queue, bucket) DO UPDATE SET due_at = excluded.due_at
    WHERE a.due_at <> excluded.due_at;
END
$$
