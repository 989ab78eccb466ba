-- Make up for what has come to or gone from a priority of a lane: of a lane that is not parked,
-- the first there is ready (at p_place or, for a job of this batch, at its id); a parked one
-- stands in line by the best priority that it has. Returns whether anything became ready.
CREATE OR REPLACE FUNCTION runfold.settle(
    p_log integer, p_queue text, p_lane text, p_priority integer, p_place bigint
) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    v_rank integer;
    v_next tid;
    v_best integer;
BEGIN
    SELECT p.rank INTO v_rank FROM runfold.parked p
    WHERE p.log_id = p_log AND p.queue = p_queue AND p.lane = p_lane;
    IF v_rank IS NULL THEN
        SELECT j.ctid INTO v_next FROM runfold.jobs j
        WHERE j.log_id = p_log AND j.queue = p_queue AND j.limits = p_lane
            AND j.priority = p_priority AND j.member IS NULL AND j.blocked = 2
        ORDER BY j.id LIMIT 1;
        IF v_next IS NULL THEN
            RETURN false; -- Where many lanes have one job each this is the rule.
        END IF;
        UPDATE runfold.jobs j SET blocked = 0, place = greatest(j.id, p_place)
        WHERE j.ctid = v_next AND NOT EXISTS (
            SELECT FROM runfold.jobs j
            WHERE j.log_id = p_log AND j.queue = p_queue AND j.limits = p_lane
                AND j.priority = p_priority AND j.member IS NULL AND j.blocked = 0
        );
        RETURN found;
    END IF;

    SELECT j.priority INTO v_best FROM runfold.jobs j
    WHERE j.log_id = p_log AND j.queue = p_queue AND j.limits = p_lane
        AND j.member IS NULL AND j.blocked = 2
    ORDER BY j.priority DESC, j.id DESC LIMIT 1;
    IF v_best IS NULL OR 10 - v_best < v_rank THEN
        RETURN runfold.wake_lanes(p_log, ARRAY[p_queue], ARRAY[p_lane], p_place) IS NOT NULL;
    END IF;
    UPDATE runfold.parked p SET rank = 10 - v_best
    WHERE p.log_id = p_log AND p.queue = p_queue AND p.lane = p_lane AND p.rank <> 10 - v_best;
    RETURN false;
END
$$
