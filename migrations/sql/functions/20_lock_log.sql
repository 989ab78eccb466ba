-- The log's lock, until the end of the transaction. Called first by every engine
-- transaction; what its guards read stands in later statements, because under READ
-- COMMITTED a statement's snapshot is older than a lock that is taken inside it.
CREATE OR REPLACE FUNCTION runfold.lock_log(p_log integer) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the transaction is %, an engine transaction must be READ COMMITTED',
            upper(current_setting('transaction_isolation'))
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM pg_advisory_xact_lock(1381387844, p_log);
END
$$
