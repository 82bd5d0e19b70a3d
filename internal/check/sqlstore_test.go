package check_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/store/sqlstore"
)

// A soundDatabase is a database that a test copies and breaks.
type soundDatabase struct {
	path   string
	now    time.Time
	issuer pki.IssuerID
	intent pki.IntentID
	told   []string // a line for each certificate, in order of place
	names  []string // of each certificate in findings
}

const devices = 5

// newSoundDatabase records an intent of five certificates, the second of which is
// revoked and in a CRL, and of a sixth place that is void.
func newSoundDatabase(t *testing.T) *soundDatabase {
	t.Helper()
	ctx := t.Context()
	now := time.Now().UTC().Truncate(time.Second)
	db := &soundDatabase{path: filepath.Join(t.TempDir(), "pando.db"), now: now, intent: pki.IntentID(pki.NewID(now))}
	s, err := sqlstore.Open(ctx, db.path, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	event := pki.Event{Tenant: "demo", At: now, Actor: "test", Action: "test", Target: "test"}
	try(s.PutTenant(ctx, &pki.Tenant{ID: "demo", Organization: "Demo", Created: now}, event))
	root := pandotest.NewRoot(t, "root", now)
	ca := root.NewIssuing(t, "issuing", now)
	rootID := putAuthority(t, s, pki.Root, root.Certificate, "", now)
	db.issuer = putAuthority(t, s, pki.Issuing, ca.Certificate, rootID, now)

	epoch, err := s.Enter(ctx, "node", now.Add(time.Minute))
	try(err)
	in := &issuance.Intent{ID: db.intent, Issuer: db.issuer, Tenant: "demo", Node: "node", Epoch: epoch, Attempt: 1}
	var made [][]byte
	for n := range devices + 1 {
		item, der := makeItem(t, ca, fmt.Sprintf("SM-%06d", n+1), now)
		in.Items, made = append(in.Items, item), append(made, der)
		db.names = append(db.names, fmt.Sprintf("certificate %s/%s", db.issuer, item.Serial))
		db.told = append(db.told, fmt.Sprintf(`{"issuer":%q,"serial":%q,"sha256":"%x"}`+"\n", db.issuer, item.Serial, sha256.Sum256(der)))
	}
	try(s.Commit(ctx, now, nil, []*issuance.Intent{in}))
	for n, item := range in.Items[:devices] {
		item.DER = made[n]
	}
	try(s.Commit(ctx, now, []*issuance.Intent{in}, nil))
	try(in.Err)
	// One is revoked for good, one is on hold and one was.
	for _, e := range []struct {
		item   int
		reason pki.Reason
	}{{1, pki.KeyCompromise}, {2, pki.CertificateHold}, {3, pki.CertificateHold}, {3, pki.RemoveFromCRL}} {
		entry := &revocation.Entry{Tenant: "demo", Event: event,
			Revocation: pki.Revocation{Issuer: db.issuer, Serial: in.Items[e.item].Serial, Reason: e.reason, At: now}}
		try(s.Revoke(ctx, []*revocation.Entry{entry}))
		try(entry.Err)
	}
	publish(t, s, db.issuer, ca, now)
	try(s.Close())
	return db
}

// putAuthority stores an active authority with its issuer.
func putAuthority(t *testing.T, s *sqlstore.Store, kind pki.AuthorityKind, cert *x509.Certificate, parent pki.IssuerID, now time.Time) pki.IssuerID {
	t.Helper()
	event := pki.Event{Tenant: "demo", At: now, Actor: "test", Action: "test", Target: "test"}
	a := &pki.Authority{ID: pki.AuthorityID(pki.NewOpaqueID()), Tenant: "demo", Name: string(kind), CommonName: string(kind), Kind: kind,
		Mode: pki.Test, Shards: 1, SignCheck: pki.CheckHardware, State: pki.AuthorityPending, Created: now}
	i := &pki.Issuer{ID: pki.IssuerID(pki.NewOpaqueID()), Authority: a.ID, Tenant: "demo", Mode: pki.Test, Parent: parent,
		Key: pki.OfflineKey, Shards: 1, State: pki.IssuerPending, Created: now}
	if kind == pki.Root {
		i.Parent = i.ID
	}
	if err := s.PutAuthority(t.Context(), a, i, event); err != nil {
		t.Fatal(err)
	}
	if err := s.InstallIssuer(t.Context(), "demo", i.ID, cert.Raw, pki.RootLinks{}, cert.NotBefore, cert.NotAfter, nil, event); err != nil {
		t.Fatal(err)
	}
	return i.ID
}

// makeItem makes a certificate and the item that it is to come from.
func makeItem(t *testing.T, ca *pandotest.CA, device string, now time.Time) (*issuance.Item, []byte) {
	t.Helper()
	item := &issuance.Item{
		Serial: pki.NewSerial(pki.SerialLong, now), Owner: "demo", Device: pki.DeviceID(device),
		Profile: pki.ProfileRef{Tenant: "demo", Name: "meter", Version: 1}, NotBefore: now, NotAfter: now.AddDate(10, 0, 0),
	}
	der := ca.Sign(t, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(item.Serial[:]), Subject: pkix.Name{SerialNumber: device},
		NotBefore: item.NotBefore, NotAfter: item.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
	}, pandotest.Key(t, pki.P256).Public())
	cert := pandotest.Parse(t, der)
	item.TBS, item.KeyHash = cert.RawTBSCertificate, sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return item, der
}

// publish stores a CRL of all revocations.
func publish(t *testing.T, s *sqlstore.Store, issuer pki.IssuerID, ca *pandotest.CA, now time.Time) {
	t.Helper()
	ctx := t.Context()
	states, err := s.Shards(ctx, issuer)
	if err != nil {
		t.Fatal(err)
	}
	l := &revocation.CRL{List: revocation.List{Issuer: issuer}, Covers: states[0].Newest, ThisUpdate: now, NextUpdate: now.AddDate(0, 0, 1)}
	if l.Number, err = s.ReserveCRLNumber(ctx, issuer, 0); err != nil {
		t.Fatal(err)
	}
	revoked, err := s.Revoked(ctx, issuer, 0, l.Covers, now, revocation.Span{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	list := &x509.RevocationList{Number: big.NewInt(l.Number), ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: new(big.Int).SetBytes(r.Serial[:]), RevocationTime: r.At, ReasonCode: int(r.Reason)})
	}
	l.Entries = int64(len(revoked))
	if l.DER, err = x509.CreateRevocationList(rand.Reader, list, ca.Certificate, ca.Key); err != nil {
		t.Fatal(err)
	}
	if err := s.PutCRL(ctx, l, nil); err != nil {
		t.Fatal(err)
	}
}

// check runs the checker on a copy of the database after statements on it, with
// what clients were told.
func (db *soundDatabase) check(t *testing.T, told []string, statements ...string) *check.Report {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pando.db")
	for _, suffix := range []string{"", "-wal"} { // of a closed store, the log may still hold everything
		text, err := os.ReadFile(db.path + suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+suffix, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		result, err := raw.Exec(statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		if n, err := result.RowsAffected(); !strings.HasPrefix(statement, "DROP") && (err != nil || n == 0) {
			t.Fatalf("%s: changed %d rows, %v", statement, n, err)
		}
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := sqlstore.Open(t.Context(), path, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	report, err := check.Run(t.Context(), check.Config{
		Store: s, Now: func() time.Time { return db.now }, Acknowledged: strings.NewReader(strings.Join(told, "")),
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestSoundDatabase(t *testing.T) {
	db := newSoundDatabase(t)
	got := db.check(t, db.told[:devices])
	want := &check.Report{
		Started: db.now, Issuers: 2, Certificates: devices, Intents: 1, Voids: 1, CRLs: 1, CRLEntries: 3,
		Acknowledged: devices, StatusEntries: 5, Events: 9, Findings: []check.Finding{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// TestPartsNotDropped: parts that no CRL has any more, and that are not dropped yet, are
// neither counted nor a finding; those of the CRL are read with it.
func TestPartsNotDropped(t *testing.T) {
	db := newSoundDatabase(t)
	part := []string{
		`UPDATE crl SET head = 10`,
		`INSERT INTO crl_part (issuer, shard, last_serial, number, entries, octets, expires, hash, der)
			SELECT issuer, shard, x'` + strings.Repeat("41", 20) + `', number, 1, 1, 1, zeroblob(32), x'00' FROM crl`,
	}
	mark := `INSERT INTO crl_part_gone (issuer, shard, last_serial, number) SELECT issuer, shard, last_serial, number FROM crl_part`
	if got := db.check(t, nil, append(part, mark)...); len(got.Findings) != 0 || got.CRLs != 1 || got.CRLEntries != 3 {
		t.Errorf("with a part that is gone: %+v", got)
	}
	if got := db.check(t, nil, part...); len(got.Findings) != 1 || got.Findings[0].Invariant != check.CRLSound {
		t.Errorf("with a part more: %+v", got.Findings)
	}
}

func finding(i check.Invariant, subject string) string { return string(i) + ": " + subject }

// TestTamperedDatabase has SQL break what only a database can show: rows that are
// gone, changed, or doubled behind the back of an index.
func TestTamperedDatabase(t *testing.T) {
	db := newSoundDatabase(t)
	intent := "intent " + string(db.intent)
	each := func(i check.Invariant, subjects []string) (all []string) {
		for _, s := range subjects {
			all = append(all, finding(i, s))
		}
		return all
	}
	log := finding(check.Logged, "log of tenant demo")
	nameless := fmt.Sprintf("certificate /%s", strings.TrimPrefix(db.names[2], fmt.Sprintf("certificate %s/", db.issuer)))
	tests := []struct {
		name       string
		statements []string
		want       []string
	}{
		{"stored bytes", []string{`UPDATE certificate SET der = CAST(substr(der, 1, length(der)-4) || x'01020304' AS BLOB) WHERE place = 2`},
			[]string{finding(check.Stored, db.names[2])}},
		{"column", []string{`UPDATE certificate SET not_after = not_after + 1000000 WHERE place = 2`},
			[]string{finding(check.Columns, db.names[2])}},
		{"certificate gone, that a client has", []string{`DELETE FROM certificate WHERE place = 2`},
			[]string{finding(check.IntentComplete, intent), finding(check.Acknowledged, db.names[2])}},
		{"digest of the intent", []string{`UPDATE intent SET digest = zeroblob(32)`},
			[]string{finding(check.Intended, intent)}},
		{"intent open again", []string{`UPDATE intent SET state = 'open'`},
			[]string{finding(check.Intended, intent)}},
		{"every intent gone", []string{`DELETE FROM intent`}, each(check.Intended, db.names[:devices])},
		{"issuer of a certificate gone", []string{`UPDATE certificate SET issuer = 99 WHERE place = 2`},
			[]string{finding(check.Chain, nameless), finding(check.IntentComplete, intent), finding(check.Acknowledged, db.names[2])}},
		{"owner of a certificate gone", []string{`UPDATE certificate SET owner = 99 WHERE place = 2`},
			[]string{finding(check.Columns, db.names[2])}},
		{"tenant of a certificate gone", []string{`UPDATE certificate SET tenant = 99 WHERE place = 2`},
			[]string{finding(check.Columns, db.names[2])}},
		{"profile of a certificate gone", []string{`UPDATE certificate SET profile = issuer WHERE place = 2`},
			[]string{finding(check.Columns, db.names[2])}},
		{"batch of a certificate gone", []string{`UPDATE certificate SET batch = 99, row_no = 1 WHERE place = 2`},
			[]string{finding(check.Columns, db.names[2])}},
		{"issuer of an intent gone", []string{`UPDATE intent SET issuer = 99`}, []string{finding(check.Intended, intent)}},
		{"reference of stored bytes gone", []string{`DELETE FROM der_reference`}, each(check.Stored, db.names[:devices])},
		{"certificate twice", []string{`DROP INDEX certificate_serial`,
			`INSERT INTO certificate SELECT 99, serial, issuer, tenant, owner, device, profile, intent, place, batch, row_no,
				not_before, not_after, issued, der, product_line, lot, site, actor, request FROM certificate WHERE place = 2`},
			[]string{finding(check.Intended, intent), finding(check.SerialUnique, db.names[2]), finding(check.LogComplete, "logs")}},
		{"revocation gone", []string{`DELETE FROM revocation WHERE reason = 1`},
			[]string{finding(check.CRLTrue, db.names[1]), log}},
		{"hold made final", []string{`UPDATE revocation SET reason = 4 WHERE seq = (SELECT min(seq) FROM revocation WHERE reason = 6)`},
			[]string{finding(check.CRLTrue, db.names[2]), finding(check.LogComplete, db.names[2])}},
		{"release gone", []string{`DELETE FROM revocation WHERE reason = 8`},
			[]string{finding(check.CRLComplete, db.names[3]), log}},
		{"void forgotten", []string{`DELETE FROM revocation WHERE reason = 0`},
			[]string{finding(check.VoidRevoked, db.names[devices]), finding(check.CRLTrue, db.names[devices]), log}},
		{"CRL of another signature", []string{`UPDATE crl SET der = CAST(substr(der, 1, length(der)-4) || x'01020304' AS BLOB)`},
			[]string{finding(check.CRLSound, fmt.Sprintf("crl %s/0", db.issuer))}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, f := range db.check(t, db.told[:devices], test.statements...).Findings {
				t.Log(f)
				got = append(got, finding(f.Invariant, f.Subject))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// sequence gives every leaf of the database its place.
func (db *soundDatabase) sequence(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	s, err := sqlstore.Open(ctx, db.path, sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := auditlog.Hold{Node: "node", Until: db.now.Add(time.Minute)}
	if h.Epoch, err = s.TakeSequencer(ctx, h.Node, db.now, h.Until); err != nil {
		t.Fatal(err)
	}
	event := pki.Event{Tenant: "demo", At: db.now, Actor: "test", Action: "log.create", Target: "log"}
	if err := s.PutLog(ctx, h, &auditlog.Log{Tenant: "demo"}, event); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sequence(ctx, h, 100); err != nil || n == 0 {
		t.Fatalf("%d groups, %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTamperedLog: whatever is changed behind a log shows in it.
func TestTamperedLog(t *testing.T) {
	db := newSoundDatabase(t)
	db.sequence(t)
	if got := db.check(t, db.told[:devices]); !got.OK() || got.Logs != 1 || got.LogEntries < devices+5 {
		t.Errorf("of what nobody touched: %+v", got)
	}
	for name, statements := range map[string][]string{
		"certificate":              {`UPDATE certificate SET device = 'SM-9' WHERE place = 2`},
		"certificate gone":         {`DELETE FROM certificate WHERE place = 2`},
		"event":                    {`UPDATE event SET detail = 'nothing' WHERE num = 2`},
		"event gone":               {`DELETE FROM event WHERE num = 2`},
		"event under another name": {`UPDATE event SET actor = 'nobody' WHERE num = 1`},
		"revocation":               {`UPDATE revocation SET at = at + 1 WHERE seq = 1`},
		"revocation gone":          {`DELETE FROM revocation WHERE seq = 1`},
		"hashes":                   {`UPDATE log_tile SET data = zeroblob(length(data))`},
		"tile gone":                {`DELETE FROM log_tile`},
		"entries exchanged":        {`UPDATE leaf_group SET first_index = 1 - first_index WHERE first_index IN (0, 1)`},
		"group gone":               {`DELETE FROM leaf_group WHERE first_index = 1`},
		"tail cut":                 {`UPDATE log SET size = size - 1`},
		"root":                     {`UPDATE log SET root = zeroblob(32)`},
		"checkpoint":               {`UPDATE log SET checkpoint = 'nothing'`},
	} {
		t.Run(name, func(t *testing.T) {
			got := db.check(t, db.told[:devices], statements...)
			found := slices.ContainsFunc(got.Findings, func(f check.Finding) bool {
				return f.Invariant == check.Logged && f.Subject == "log of tenant demo"
			})
			if !found {
				t.Errorf("findings %v", got.Findings)
			}
		})
	}
}

// TestPastTheLog: rows about status and events that are put into the database, or edited
// there, without the log's knowing are found by name, be there a log yet or not. A test
// that an outsider could do: with SQL alone.
func TestPastTheLog(t *testing.T) {
	db := newSoundDatabase(t)
	entry := func(place int, seq, n, reason string) string {
		return fmt.Sprintf(`INSERT INTO revocation (seq, issuer, serial, n, reason, at, shard, not_after)
			SELECT %s, r.issuer, c.serial, %s, %s, r.at + 1000000, r.shard, r.not_after FROM certificate c, revocation r
			WHERE c.place = %d AND r.seq = 1`, seq, n, reason, place)
	}
	const newest = `(SELECT max(seq) + 1 FROM revocation)`
	const act = `INSERT INTO event (num, id, tenant, at, actor, action, target, detail)
		SELECT %s, 'zz', %s, at, 'token:1 (Ada)', 'authority.create', 'authority:evil', '' FROM event WHERE num = 1`
	group := func(kind, ref string, count, index int) string {
		return fmt.Sprintf(`INSERT INTO leaf_group (tenant, kind, ref, count, created, hashes, first_row, first_index)
			SELECT tenant, '%s', %s, %d, created, x'', 0, %d FROM leaf_group LIMIT 1`, kind, ref, count, index)
	}
	const made = `(SELECT max(seq) FROM revocation)`
	log, released := finding(check.Logged, "log of tenant demo"), finding(check.StatusOrder, db.names[1])
	tests := []struct {
		name       string
		statements []string
		want       []string // none is whatever there is
	}{
		{"release of what is revoked for good", []string{entry(1, newest, "2", "8")},
			[]string{finding(check.LogComplete, db.names[1]), released}},
		{"revocation", []string{entry(0, newest, "1", "1")}, []string{finding(check.LogComplete, db.names[0])}},
		{"revocation with the lowest number", []string{entry(0, "-9223372036854775807 - 1", "1", "1")},
			[]string{finding(check.CRLComplete, db.names[0]), finding(check.LogComplete, db.names[0])}},
		{"release of a hold", []string{entry(2, newest, "2", "8")},
			[]string{finding(check.LogComplete, db.names[2])}},
		{"release that is said to be in the log where nothing is", []string{entry(2, newest, "2", "8"), group("revocation", made, 1, 1_000_000)},
			[]string{finding(check.LogComplete, db.names[2])}},
		{"release with a leaf that is to be logged", []string{entry(1, newest, "2", "8"), group("revocation", made, 1, -1)},
			[]string{released}},
		{"event", []string{fmt.Sprintf(act, "NULL", "tenant")}, []string{finding(check.LogComplete, "event zz of demo")}},
		{"event with the lowest number", []string{fmt.Sprintf(act, "-9223372036854775807 - 1", "tenant")}, []string{finding(check.LogComplete, "event zz of demo")}},
		{"event of a tenant without a log", []string{fmt.Sprintf(act, "NULL", "'other'")}, []string{finding(check.LogComplete, "event zz of other")}},
		{"event that is shown to another tenant", []string{`UPDATE event SET tenant = 'other' WHERE num = 3`}, nil},
		{"numbers of entries exchanged", []string{`UPDATE revocation SET seq = -seq WHERE seq <= 2`, `UPDATE revocation SET seq = 3 + seq WHERE seq < 0`}, nil},
		{"leaves that stand for nothing", []string{group("event", "9999", 1, -1)}, []string{log}},
	}
	for _, sequenced := range []bool{false, true} {
		if sequenced {
			db.sequence(t)
		}
		if got := db.check(t, db.told[:devices]); !got.OK() {
			t.Fatalf("of what nobody touched: %v", got.Findings)
		}
		for _, test := range tests {
			t.Run(fmt.Sprintf("%s, sequenced: %t", test.name, sequenced), func(t *testing.T) {
				var got []string
				for _, f := range db.check(t, db.told[:devices], test.statements...).Findings {
					t.Log(f)
					got = append(got, finding(f.Invariant, f.Subject))
				}
				if test.want == nil {
					if len(got) == 0 {
						t.Error("nothing is found")
					}
					return
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
				}
			})
		}
	}
}
