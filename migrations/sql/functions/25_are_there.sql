-- Whether, for each item, its timer is due, its job is leased by a token without a live member,
-- and its row of the inbox exists; true where none is named.
CREATE OR REPLACE FUNCTION runfold.are_there(
    p_log integer, p_now timestamptz, p_streams bigint[], p_timers bigint[], p_stalled bigint[],
    p_inbox bigint[]
) RETURNS boolean[]
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (
        SELECT array_agg(
            (
                i.timer IS NULL OR (
                    SELECT t.due_at <= p_now FROM runfold.timers t
                    WHERE t.log_id = p_log AND t.id >= i.timer AND t.id <= i.timer
                    ORDER BY t.id LIMIT 1
                ) IS TRUE
            ) AND (
                i.stalled IS NULL OR (
                    SELECT j.member IS NOT NULL AND coalesce(
                        (
                            SELECT m.expires_at <= p_now FROM runfold.members m
                            WHERE m.log_id = p_log AND m.token = j.member
                        ),
                        true
                    )
                    FROM runfold.jobs j WHERE j.log_id = p_log AND j.id = i.stalled
                ) IS TRUE
            ) AND (
                i.inbox IS NULL OR (
                    SELECT b.log_id = p_log FROM runfold.inbox b WHERE b.id = i.inbox
                ) IS TRUE
            )
        )
        FROM unnest(p_streams, p_timers, p_stalled, p_inbox) AS i (stream, timer, stalled, inbox)
    );
END
$$
