-- Remove the jobs of these rows, wherever they are, for the good of who waits behind them: the
-- next of a lane steps up, and of what a removed job used or might have used, others may try.
CREATE OR REPLACE FUNCTION runfold.remove_jobs(p_log integer, p_place bigint, p_found tid[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    v_leased bigint[];
    v_lanes runfold.jobs[];
    v_job runfold.jobs;
BEGIN
    IF cardinality(p_found) = 0 THEN
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM runfold.jobs j WHERE j.ctid = ANY (p_found)
        RETURNING j.id, j.member, j.limits, j AS job
    )
    SELECT
        array_agg(g.id) FILTER (
            WHERE g.member IS NOT NULL AND (
                SELECT EXISTS (SELECT FROM runfold.limits l WHERE l.log_id = p_log OFFSET 0)
            )
        ),
        array_agg(g.job) FILTER (WHERE g.limits IS NOT NULL)
    INTO v_leased, v_lanes
    FROM gone g;

    IF v_leased IS NOT NULL THEN
        DELETE FROM runfold.holds WHERE ctid = ANY (ARRAY(
            SELECT found.ctid
            FROM unnest(v_leased) AS i (job)
            CROSS JOIN LATERAL (
                SELECT h.ctid FROM runfold.holds h WHERE h.log_id = p_log AND h.job = i.job OFFSET 0
            ) found
        ));
    END IF;
    IF v_lanes IS NOT NULL THEN
        FOREACH v_job IN ARRAY v_lanes LOOP
            IF v_job.member IS NULL AND v_job.blocked <> 1 THEN
                PERFORM runfold.settle(
                    p_log, v_job.queue, v_job.limits, v_job.priority, p_place
                );
            END IF;
            IF v_job.member IS NOT NULL OR v_job.blocked = 0 THEN
                PERFORM runfold.wake(
                    p_log, runfold.asked_of(v_job.limits, v_job.queue, v_job.key), p_place
                );
            END IF;
        END LOOP;
    END IF;
END
$$
