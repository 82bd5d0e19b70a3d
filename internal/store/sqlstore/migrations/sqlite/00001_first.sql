-- +goose Up

-- Times are microseconds since 1970 in UTC, 0 where there is none. Serials are
-- 20 octets, so that the order of bytes is the order of numbers. Numbers that
-- name an issuer, a tenant, an owner, a profile, a product line, a lot, a site
-- or a batch are those of table ref.

CREATE TABLE ref (
    num    INTEGER PRIMARY KEY,
    kind   TEXT NOT NULL,
    tenant TEXT NOT NULL,
    text   TEXT NOT NULL,
    UNIQUE (kind, tenant, text)
) STRICT;

CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenant (
    id           TEXT PRIMARY KEY,
    organization TEXT NOT NULL,
    created      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE authority (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL,
    common_name TEXT NOT NULL,
    kind        TEXT NOT NULL,
    mode        TEXT NOT NULL,
    parent      TEXT NOT NULL,
    profile     TEXT NOT NULL,
    key_kind    TEXT NOT NULL,
    status_url  TEXT NOT NULL,
    shards      INTEGER NOT NULL,
    sign_check  TEXT NOT NULL,
    random_serials INTEGER NOT NULL,
    state       TEXT NOT NULL,
    created     INTEGER NOT NULL,
    UNIQUE (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE issuer (
    num         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    authority   TEXT NOT NULL REFERENCES authority (id),
    tenant      TEXT NOT NULL,
    mode        TEXT NOT NULL,
    parent      TEXT NOT NULL,
    key_uri     TEXT NOT NULL,
    status_url  TEXT NOT NULL,
    shards      INTEGER NOT NULL,
    active      INTEGER NOT NULL,
    not_before  INTEGER NOT NULL,
    not_after   INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    certificate BLOB NOT NULL, -- empty while pending
    request     BLOB NOT NULL
) STRICT;
CREATE INDEX issuer_authority ON issuer (authority);

CREATE TABLE profile (
    num     INTEGER PRIMARY KEY,
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    hash    BLOB NOT NULL,
    created INTEGER NOT NULL,
    source  TEXT NOT NULL,
    UNIQUE (tenant, name, version)
) STRICT;

CREATE TABLE endpoint (
    tenant          TEXT NOT NULL,
    name            TEXT NOT NULL,
    authority       TEXT NOT NULL,
    profile_tenant  TEXT NOT NULL,
    profile_name    TEXT NOT NULL,
    profile_version INTEGER NOT NULL,
    protocols       TEXT NOT NULL, -- separated by commas
    names           TEXT NOT NULL, -- pki.Names in JSON
    created         INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    id        TEXT PRIMARY KEY,
    tenant    TEXT NOT NULL,
    name      TEXT NOT NULL,
    role      TEXT NOT NULL,
    endpoints TEXT NOT NULL, -- separated by commas; empty is all
    hash      BLOB NOT NULL UNIQUE,
    created   INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    revoked   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX token_tenant ON token (tenant, id);

CREATE TABLE sealed_key (
    id       TEXT PRIMARY KEY,
    tenant   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    purpose  TEXT NOT NULL,
    kek      TEXT NOT NULL,
    created  INTEGER NOT NULL,
    spki     BLOB NOT NULL,
    sealed   BLOB NOT NULL
) STRICT;

CREATE TABLE blocked_key (
    hash BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
    num    INTEGER PRIMARY KEY,
    id     TEXT NOT NULL,
    tenant TEXT NOT NULL,
    at     INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,
    UNIQUE (tenant, id)
) STRICT;

-- A row is a leaf, or a run of leaves, of a tenant's log, in the order in which
-- they were committed: ref is an intent's num, an event's num, or the seq of the
-- first of count revocation entries.
CREATE TABLE leaf_group (
    id      INTEGER PRIMARY KEY,
    tenant  INTEGER NOT NULL,
    kind    TEXT NOT NULL, -- certificates, event, revocation
    ref     INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE node (
    node     TEXT PRIMARY KEY,
    epoch    INTEGER NOT NULL,
    until_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The payload holds the items while the intent is open. Of a closed one the
-- digest stays, and what its void items were.
CREATE TABLE intent (
    num     INTEGER PRIMARY KEY,
    id      TEXT NOT NULL UNIQUE,
    issuer  INTEGER NOT NULL,
    tenant  INTEGER NOT NULL,
    node    TEXT NOT NULL,
    epoch   INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    state   TEXT NOT NULL, -- open, closed, void
    batch   INTEGER,
    chunk   INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    created INTEGER NOT NULL,
    closed  INTEGER NOT NULL,
    digest  BLOB NOT NULL,
    voided  BLOB NOT NULL,
    payload BLOB NOT NULL
) STRICT;
CREATE INDEX intent_open ON intent (num) WHERE state = 'open';

CREATE TABLE der_reference (
    num     INTEGER PRIMARY KEY,
    issuer  INTEGER NOT NULL,
    profile INTEGER NOT NULL,
    der     BLOB NOT NULL,
    UNIQUE (issuer, profile)
) STRICT;

-- Rows are never changed. The indexes are few, since a random one costs more
-- than all the rest of a row; those WHERE owner <> tenant are empty until an
-- authority is lent.
CREATE TABLE certificate (
    id         INTEGER PRIMARY KEY,
    serial     BLOB NOT NULL,
    issuer     INTEGER NOT NULL,
    tenant     INTEGER NOT NULL,
    owner      INTEGER NOT NULL,
    device     TEXT NOT NULL,
    profile    INTEGER NOT NULL,
    intent     INTEGER NOT NULL,
    place      INTEGER NOT NULL,
    batch      INTEGER,
    row_no     INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    not_after  INTEGER NOT NULL,
    issued     INTEGER NOT NULL,
    der        BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX certificate_serial ON certificate (serial, issuer);
CREATE UNIQUE INDEX certificate_row ON certificate (batch, row_no) WHERE batch IS NOT NULL;
CREATE INDEX certificate_tenant ON certificate (tenant);
CREATE INDEX certificate_device ON certificate (owner, device) WHERE device <> '';
CREATE INDEX certificate_lent_owner ON certificate (owner) WHERE owner <> tenant;
CREATE INDEX certificate_lent_device ON certificate (tenant, device) WHERE owner <> tenant;

CREATE TABLE idempotency (
    owner        INTEGER NOT NULL,
    key          TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    intent       INTEGER NOT NULL,
    issuer       INTEGER NOT NULL,
    serial       BLOB NOT NULL,
    created      INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_created ON idempotency (created);

-- hash is the first 16 bytes of the SHA-256 of the SubjectPublicKeyInfo; intent
-- is the one that would give the claim up as void, 0 where none would.
CREATE TABLE key_use (
    owner  INTEGER NOT NULL,
    hash   BLOB NOT NULL,
    device TEXT NOT NULL,
    intent INTEGER NOT NULL,
    PRIMARY KEY (owner, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    owner        INTEGER NOT NULL,
    device       TEXT NOT NULL,
    product_line INTEGER NOT NULL,
    lot          INTEGER NOT NULL,
    site         INTEGER NOT NULL,
    state        TEXT NOT NULL,
    created      INTEGER NOT NULL,
    updated      INTEGER NOT NULL,
    PRIMARY KEY (owner, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE revocation (
    seq       INTEGER PRIMARY KEY,
    issuer    INTEGER NOT NULL,
    serial    BLOB NOT NULL,
    n         INTEGER NOT NULL,
    reason    INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    shard     INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    UNIQUE (issuer, serial, n)
) STRICT;
CREATE INDEX revocation_shard ON revocation (issuer, shard, serial);

-- number is the last CRL number that was given out, newest the seq of the
-- shard's newest entry.
CREATE TABLE crl_shard (
    issuer INTEGER NOT NULL,
    shard  INTEGER NOT NULL,
    number INTEGER NOT NULL,
    newest INTEGER NOT NULL,
    PRIMARY KEY (issuer, shard)
) STRICT, WITHOUT ROWID;

CREATE TABLE crl (
    issuer      INTEGER NOT NULL,
    shard       INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    covers      INTEGER NOT NULL,
    entries     INTEGER NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    der         BLOB NOT NULL,
    PRIMARY KEY (issuer, shard, number)
) STRICT;

CREATE TABLE batch (
    num             INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    tenant          TEXT NOT NULL,
    endpoint        TEXT NOT NULL,
    profile_tenant  TEXT NOT NULL,
    profile_name    TEXT NOT NULL,
    profile_version INTEGER NOT NULL,
    authority       TEXT NOT NULL,
    product_line    TEXT NOT NULL,
    lot             TEXT NOT NULL,
    site            TEXT NOT NULL,
    dry_run         INTEGER NOT NULL,
    idempotency     TEXT NOT NULL,
    state           TEXT NOT NULL,
    row_count       INTEGER NOT NULL,
    digest          BLOB NOT NULL,
    submitter       TEXT NOT NULL,
    created         INTEGER NOT NULL,
    started         INTEGER NOT NULL,
    finished        INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX batch_idempotency ON batch (tenant, idempotency) WHERE idempotency <> '';
CREATE UNIQUE INDEX batch_tenant ON batch (tenant, id);
CREATE INDEX batch_state ON batch (state);

CREATE TABLE batch_chunk (
    batch     INTEGER NOT NULL REFERENCES batch (num),
    no        INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    state     TEXT NOT NULL, -- pending, claimed, closed
    checked   INTEGER NOT NULL,
    issued    INTEGER NOT NULL,
    refused   INTEGER NOT NULL,
    PRIMARY KEY (batch, no)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX batch_chunk_row ON batch_chunk (batch, first_row);

-- The rows themselves are apart from the chunks' states, so that counting does
-- not read them.
CREATE TABLE batch_rows (
    batch INTEGER NOT NULL,
    no    INTEGER NOT NULL,
    rows  BLOB NOT NULL,
    PRIMARY KEY (batch, no)
) STRICT;

CREATE TABLE batch_refusal (
    batch  INTEGER NOT NULL,
    row_no INTEGER NOT NULL,
    chunk  INTEGER NOT NULL,
    device TEXT NOT NULL,
    kind   TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (batch, row_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE credential (
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL,
    source  TEXT NOT NULL,
    key_uri TEXT NOT NULL,
    issuer  TEXT NOT NULL,
    chain   BLOB NOT NULL, -- certificates in PEM
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
