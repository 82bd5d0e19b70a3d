package sqlstore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// migrateTo makes a database of an earlier schema, and fills it.
func migrateTo(t *testing.T, dir string, version int64, statements ...string) {
	t.Helper()
	db, err := writerDB(filepath.Join(dir, "pando.db"), Options{WriterCacheMiB: 1, synchronous: "FULL"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	for _, text := range statements {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// TestGrantsOfEarlierSchema: tokens and trusted authorities that had a role and names
// of endpoints have it as grants, and no more than they had.
func TestGrantsOfEarlierSchema(t *testing.T) {
	dir := t.TempDir()
	hash := sha256.Sum256([]byte("two"))
	migrateTo(t, dir, 15,
		`INSERT INTO endpoint (tenant, name, authority, profile_tenant, profile_name, profile_version, protocols, names, created) VALUES
			('acme', 'meter', 'a', 'acme', 'meter', 1, 'rest', '{}', 5), ('acme', 'smart-meter', 'a', 'acme', 'meter', 1, 'rest', '{}', 5),
			('acme', 'gateway', 'a', 'acme', 'meter', 1, 'rest', '{}', 5), ('globex', 'meter', 'a', 'globex', 'meter', 1, 'rest', '{}', 5)`,
		`INSERT INTO token (id, tenant, name, role, endpoints, hash, created, expires, revoked) VALUES
			('0all', 'acme', 'x', 'auditor', '', x'01', 7000000, 9000000, 0),
			('0one', 'acme', 'x', 'ra-operator', 'smart-meter', x'02', 7000000, 9000000, 0),
			('0gone', 'acme', 'x', 'ra-operator', 'not-there', x'04', 7000000, 9000000, 0),
			('0theirs', 'globex', 'x', 'factory-operator', 'meter,gateway', x'05', 7000000, 9000000, 0),
			('0platform', '`+string(pki.Platform)+`', 'x', 'platform-operator', '', x'06', 7000000, 9000000, 0)`,
		`INSERT INTO token (id, tenant, name, role, endpoints, hash, created, expires, revoked)
			SELECT '0two', 'acme', 'x', 'factory-operator', 'gateway,meter', x'`+hex.EncodeToString(hash[:])+`', 7000000, 9000000, 0`,
		`INSERT INTO trust_anchor (tenant, name, id, issuer, certificate, role, endpoints, created) VALUES
			('acme', 'devices', 't1', 'i', x'30', 'device', 'meter,smart-meter', 7000000), ('globex', 'auditors', 't2', '', x'30', 'auditor', '', 7000000)`)
	s := open(t, dir)
	defer s.Close()

	grant := func(id string, tenant pki.TenantID, principal string, role access.Role, endpoint string) access.Grant {
		return access.Grant{ID: id, Tenant: tenant, Principal: principal, Role: role, Scope: access.Scope{Endpoint: endpoint}, Created: time.Unix(7, 0).UTC()}
	}
	for _, tenant := range []struct {
		id   pki.TenantID
		want []access.Grant
	}{
		{"acme", []access.Grant{
			grant("0all", "acme", "token:0all", access.Auditor, ""),
			grant("0one.smart-meter", "acme", "token:0one", access.RAOperator, "smart-meter"),
			grant("0two.gateway", "acme", "token:0two", access.FactoryOperator, "gateway"),
			grant("0two.meter", "acme", "token:0two", access.FactoryOperator, "meter"),
			grant("t1.meter", "acme", "trust:devices", access.Device, "meter"),
			grant("t1.smart-meter", "acme", "trust:devices", access.Device, "smart-meter"),
		}},
		{"globex", []access.Grant{
			grant("0theirs.meter", "globex", "token:0theirs", access.FactoryOperator, "meter"),
			grant("t2", "globex", "trust:auditors", access.Auditor, ""),
		}},
		{pki.Platform, []access.Grant{grant("0platform", pki.Platform, "token:0platform", access.PlatformOperator, "")}},
	} {
		got, err := s.Grants(t.Context(), tenant.id, "", "")
		if diff := cmp.Diff(tenant.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", tenant.id, err, diff)
		}
	}
	two, err := s.TokenByHash(t.Context(), hash)
	if err != nil || len(two.Grants) != 2 || two.Grants[0].Scope.Endpoint != "gateway" {
		t.Errorf("as a token is read: %+v, %v", two, err)
	}
	anchors, err := s.AllAnchors(t.Context())
	if err != nil || len(anchors) != 2 || len(anchors[0].Grants) != 2 || len(anchors[1].Grants) != 1 {
		t.Errorf("as trusted authorities are read: %+v, %v", anchors, err)
	}
}

// TestLentOfEarlierSchema: what was lent shows in what is lent, and in what was issued by it.
func TestLentOfEarlierSchema(t *testing.T) {
	dir := t.TempDir()
	statements := []string{
		`INSERT INTO tenant (id, organization, created, parent) VALUES ('acme', 'Acme', 1, ''), ('acme-oem', 'OEM', 1, 'acme')`,
		`INSERT INTO ref (num, kind, tenant, text) VALUES (101, 'tenant', '', 'acme'), (102, 'tenant', '', 'acme-oem')`,
		`INSERT INTO loan (child, name, parent, authority, profile, created) VALUES ('acme-oem', 'meters', 'acme', 'is', 'meter', 1)`,
		`INSERT INTO certificate (serial, issuer, tenant, owner, device, profile, intent, place, row_no, not_before, not_after, issued, der)
			VALUES (x'01', 12, 101, 102, '', 1, 1, 0, 0, 1, 1, 1, x''), (x'02', 13, 101, 101, '', 1, 1, 0, 0, 1, 1, 1, x'')`,
	}
	for i, a := range []string{"is", "was", "never"} {
		statements = append(statements,
			`INSERT INTO authority (id, tenant, name, common_name, kind, mode, parent, profile, key_kind, status_url, shards, sign_check, random_serials, state, created)
				VALUES ('`+a+`', 'acme', '`+a+`', '', 'issuing', 'test', '', '', '', '', 1, 'always', 0, 'active', 1)`,
			fmt.Sprintf(`INSERT INTO issuer (num, id, authority, tenant, mode, parent, key_uri, status_url, shards, state, not_before, not_after, created, certificate, request)
				VALUES (%d, '%s', '%s', 'acme', 'test', '', '', '', 1, 'active', 1, 1, 1, x'', x'')`, 11+i, a, a))
	}
	migrateTo(t, dir, 48, statements...)
	s := open(t, dir)
	defer s.Close()
	for _, a := range []string{"is", "was", "never"} {
		_, err := s.seenIssuer(t.Context(), "acme-oem", pki.IssuerID(a))
		if seen := err == nil; seen != (a != "never") {
			t.Errorf("of what %s lent: %v", a, err)
		}
	}
}

// TestEntriesOfEarlierSchema: of an entry that was made before its job was kept it is said
// that nobody knows.
func TestEntriesOfEarlierSchema(t *testing.T) {
	dir := t.TempDir()
	serial := pki.Serial{19: 1}
	migrateTo(t, dir, 51,
		`INSERT INTO authority (id, tenant, name, common_name, kind, mode, parent, profile, key_kind, status_url, shards, sign_check, random_serials, state, created)
			VALUES ('a', 'acme', 'a', '', 'issuing', 'test', '', '', '', '', 1, 'always', 0, 'active', 1)`,
		`INSERT INTO ref (num, kind, tenant, text) VALUES (11, 'issuer', '', 'is'), (12, 'tenant', '', 'acme')`,
		`INSERT INTO issuer (num, id, authority, tenant, mode, parent, key_uri, status_url, shards, state, not_before, not_after, created, certificate, request)
			VALUES (11, 'is', 'a', 'acme', 'test', '', '', '', 1, 'active', 1, 1, 1, x'', x'')`,
		fmt.Sprintf(`INSERT INTO revocation (issuer, serial, n, reason, at, shard, not_after) VALUES (11, x'%x', 1, 1, 7, 0, 9)`, serial[:]))
	s := open(t, dir)
	defer s.Close()
	got, err := s.Entries(t.Context(), "acme", "is", serial)
	if err != nil || len(got) != 1 || !got[0].Unknown || got[0].Job != "" {
		t.Errorf("%+v, %v", got, err)
	}
}
