-- The validator app's schema: stores, their offsets, and the wallet history that exists nowhere else.
CREATE SCHEMA IF NOT EXISTS extensions;
CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA extensions;
CREATE SCHEMA IF NOT EXISTS validator;
SET search_path TO validator;

CREATE TABLE flyway_schema_history (
    installed_rank integer PRIMARY KEY, version varchar(50), description varchar(200) NOT NULL, type varchar(20) NOT NULL,
    script varchar(1000) NOT NULL, checksum integer, installed_by varchar(100) NOT NULL,
    installed_on timestamp NOT NULL DEFAULT now(), execution_time integer NOT NULL, success boolean NOT NULL);
INSERT INTO flyway_schema_history (installed_rank, version, description, type, script, checksum, installed_by, execution_time, success) VALUES
    (1, '001', 'create schema', 'SQL', 'V001__create_schema.sql', 2101, current_user, 33, true),
    (2, '042', 'offsets', 'SQL', 'V042__offsets.sql', 2102, current_user, 9, true);

CREATE TABLE store_descriptors (id serial PRIMARY KEY, descriptor jsonb NOT NULL UNIQUE);
CREATE TABLE store_last_ingested_offsets (
    store_id integer NOT NULL REFERENCES store_descriptors (id), migration_id bigint NOT NULL, last_ingested_offset text,
    PRIMARY KEY (store_id, migration_id));
CREATE TABLE update_history_descriptors (
    id serial PRIMARY KEY, party text NOT NULL, participant_id text NOT NULL, store_name text NOT NULL);
CREATE TABLE update_history_last_ingested_offsets (
    history_id integer NOT NULL REFERENCES update_history_descriptors (id), migration_id bigint NOT NULL, last_ingested_offset text,
    PRIMARY KEY (history_id, migration_id));
CREATE TABLE validator_acs_store (
    event_number bigserial PRIMARY KEY, store_id integer NOT NULL REFERENCES store_descriptors (id), migration_id bigint NOT NULL,
    contract_id text NOT NULL, template_id_qualified_name text NOT NULL, create_arguments jsonb NOT NULL,
    created_event_blob bytea NOT NULL, created_at bigint NOT NULL);
CREATE TABLE user_wallet_acs_store (LIKE validator_acs_store INCLUDING ALL);
CREATE TABLE user_wallet_txlog_store (
    entry_number bigserial PRIMARY KEY, store_id integer NOT NULL REFERENCES store_descriptors (id), migration_id bigint NOT NULL,
    transaction_offset text, entry_type char(3) NOT NULL, event_id text, entry_data jsonb NOT NULL);
