-- The buckets that must admit a job, with the closure of its key last.
CREATE OR REPLACE FUNCTION runfold.asked_of(p_lane text, p_queue text, p_key text)
RETURNS text[]
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    v_buckets constant text[] := string_to_array(p_lane, E'\x1e');
    v_key constant text := 'queue:' || p_queue || '=' || p_key;
BEGIN
    RETURN CASE WHEN v_key IS NULL OR v_key = ANY (v_buckets) THEN v_buckets
        ELSE v_buckets || v_key END;
END
$$
