-- The id that a key stands for: a UUIDv8 of the first 16 bytes of SHA-256 over the parts,
-- each preceded by its length in UTF-8 (four bytes, big-endian). Its twin in Python is
-- runfold.kernel.ids.keyed_id.
CREATE OR REPLACE FUNCTION runfold.keyed_id(VARIADIC parts text[]) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT encode(
        set_byte(
            set_byte(hashed.bytes, 6, (get_byte(hashed.bytes, 6) & 15) | 128),
            8, (get_byte(hashed.bytes, 8) & 63) | 128
        ),
        'hex'
    )::uuid
    FROM (
        SELECT substring(
            sha256(
                string_agg(
                    int4send(octet_length(convert_to(part.word, 'UTF8')))
                        || convert_to(part.word, 'UTF8'),
                    ''::bytea ORDER BY part.place
                )
            )
            FROM 1 FOR 16
        ) AS bytes
        FROM unnest(parts) WITH ORDINALITY AS part (word, place)
    ) AS hashed
$$
