-- An account for the gateway that can add to the history and change nothing in it.
--
-- Run as the owner of the tables, after the schema was made or brought up to date:
--
--     psql -v role=beckon_gateway -f packaging/postgres-roles.sql postgres://owner@host/beckon
--
-- The role must exist (CREATE ROLE beckon_gateway LOGIN …) and must not own the tables. A new version of Beckon that brings
-- new tables is started once with the owner's account; then this is run again.

GRANT USAGE ON SCHEMA public TO :"role";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :"role";

-- What happened is only ever added.
REVOKE UPDATE, DELETE ON event, history_checkpoint, history_key FROM :"role";
-- An event gets its number after it was written, once; a signing key its end.
GRANT UPDATE (seq) ON event TO :"role";
GRANT UPDATE (retired_at) ON history_key TO :"role";
-- The tree over the events grows and never shrinks.
REVOKE DELETE ON history_head, history_tile FROM :"role";
REVOKE INSERT, UPDATE, DELETE ON seaql_migrations FROM :"role";

CREATE OR REPLACE FUNCTION event_is_numbered_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an event that has a number keeps it';
END
$$;

DROP TRIGGER IF EXISTS event_is_numbered_once ON event;
CREATE TRIGGER event_is_numbered_once BEFORE UPDATE ON event
    FOR EACH ROW WHEN (OLD.seq IS NOT NULL) EXECUTE FUNCTION event_is_numbered_once();
