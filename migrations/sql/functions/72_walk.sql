-- Serve a claim that meets heads of lanes, one ready job after the other: best priority first,
-- then by place. A job without a lane is leased, a head too if all its buckets admit it; then
-- the next of its lane steps up, behind all others of its priority; where there are none, some
-- of the lane are leased at once. Else its lane is parked on
-- the bucket that refused, and what is left of the others is for another lane. A head whose
-- target the claimer does not know stands where it is.
--
-- Everything before the cursor (v_level, v_place, v_id) was looked at; lanes that are woken set
-- it back. Rows come in pages; a page ends when something better may have become ready.
CREATE OR REPLACE FUNCTION runfold.walk(
    p_log integer, p_ts timestamptz, p_last bigint, p_first bigint, p_queue text,
    p_token bigint, p_limit integer, p_room integer, p_targets text[], p_given bigint[],
    OUT jobs runfold.jobs[], OUT floors bigint[], OUT looks integer,
    OUT moved boolean
)
LANGUAGE plpgsql
AS $$
DECLARE
    v_level integer := 10;
    v_place bigint := p_given[1];
    v_id bigint := 0;
    v_job runfold.jobs;
    v_asked text[];
    v_bucket text;
    v_fits integer;
    v_row runfold.jobs[];
    v_verdict record;
    v_taken integer := 0;
    v_page integer;
    v_seen integer; -- of the page
    v_parked text[]; -- since the page was read
    v_risen integer; -- the priority at which heads have stepped up since then
    v_woken integer;
BEGIN
    looks := 4 * p_limit + 16;
    moved := false;
    LOOP
        v_page := p_room - v_taken;
        v_seen := 0;
        v_parked := '{}';
        v_risen := 0;
        v_woken := NULL;
        FOR v_job IN
            SELECT found.*
            FROM generate_series(v_level, 1, -1) AS level (priority)
            CROSS JOIN LATERAL (
                SELECT j.*
                FROM runfold.jobs j
                WHERE j.log_id = p_log AND j.queue = p_queue AND j.priority = level.priority
                    AND (j.place, j.id) >= (
                        CASE WHEN level.priority = v_level
                            THEN greatest(v_place, p_given[11 - level.priority])
                            ELSE p_given[11 - level.priority] END,
                        CASE WHEN level.priority = v_level
                                AND v_place >= p_given[11 - level.priority]
                            THEN v_id ELSE 0 END
                    )
                    AND j.member IS NULL AND j.blocked = 0
                    AND (j.flow || E'\x1f' || j.step = ANY (p_targets) OR j.limits IS NOT NULL)
                ORDER BY j.place, j.id
                LIMIT v_page
            ) found
            LIMIT v_page
        LOOP
            EXIT WHEN v_job.priority < v_risen;
            v_seen := v_seen + 1;
            v_level := v_job.priority;
            v_place := v_job.place;
            v_id := v_job.id + 1;
            CONTINUE WHEN v_job.limits = ANY (v_parked);

            v_bucket := NULL;
            v_asked := '{}';
            IF v_job.limits IS NOT NULL THEN
                v_asked := runfold.asked_of(v_job.limits, p_queue, v_job.key);
            END IF;
            IF v_job.flow || E'\x1f' || v_job.step = ANY (p_targets) THEN
                v_fits := p_room - v_taken;
                FOREACH v_bucket IN ARRAY v_asked LOOP
                    SELECT v.room, v.due INTO v_verdict
                    FROM runfold.verdict(p_log, p_ts, v_bucket) v;
                    EXIT WHEN v_verdict.room = 0;
                    v_fits := least(v_fits, v_verdict.room);
                    v_bucket := NULL;
                END LOOP;
                IF v_bucket IS NULL AND v_job.limits IS NULL THEN
                    UPDATE runfold.jobs j SET member = p_token
                    WHERE j.log_id = p_log AND j.id = v_job.id;
                    jobs := jobs || v_job;
                    v_taken := v_taken + 1;
                ELSIF v_bucket IS NULL THEN
                    v_row := runfold.lease_lane(
                        p_log, p_token, v_job, v_fits, p_targets, v_asked
                    );
                    PERFORM runfold.count_starts(
                        p_log, p_ts, ARRAY(SELECT j.id FROM unnest(v_row) j),
                        p_last + v_taken + 1, v_asked
                    );
                    jobs := jobs || v_row;
                    v_taken := v_taken + cardinality(v_row);
                    v_risen := v_job.priority;
                    PERFORM runfold.settle(
                        p_log, p_queue, v_job.limits, v_job.priority, p_last + v_taken
                    );
                ELSE
                    looks := looks - 1;
                    moved := true;
                    v_parked := v_parked || v_job.limits;
                    v_asked := array_remove(v_asked, v_bucket);
                    PERFORM runfold.park(
                        p_log, p_queue, v_job.limits, v_job.place, v_job.id, v_bucket,
                        v_verdict.due
                    );
                END IF;
            END IF;
            IF v_asked <> '{}' THEN
                v_woken := runfold.pass_on(p_log, p_ts, p_queue, v_asked, p_last + v_taken + 1);
            END IF;
            IF (-v_woken, p_last + v_taken + 1) <= (-v_level, v_place) THEN
                v_level := v_woken;
                v_place := p_last + v_taken + 1;
                v_id := 0;
            END IF;
            moved := moved OR v_woken IS NOT NULL;
            EXIT WHEN v_woken IS NOT NULL OR v_taken = p_room OR looks = 0;
        END LOOP;
        EXIT WHEN v_taken = p_room OR looks = 0
            OR (v_seen < v_page AND v_risen = 0 AND v_woken IS NULL);
    END LOOP;
    floors := runfold.next_floors(
        p_given, p_first, v_taken < p_room AND looks > 0, v_level, v_place
    );
END
$$
