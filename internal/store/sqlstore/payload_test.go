package sqlstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pki"
)

// known resolves numbers without a database.
type known struct {
	refs       map[int64]ref
	references map[int64]*reference
}

func (k known) refOf(num int64) (ref, error) {
	r, ok := k.refs[num]
	if !ok && num != 0 {
		return ref{}, errDamaged
	}
	return r, nil
}

func (k known) reference(num int64) (*reference, error) {
	r, ok := k.references[num]
	if !ok {
		return nil, errDamaged
	}
	return r, nil
}

// newPayload returns items, their payload and what resolves it.
func newPayload(t testing.TB) ([]*issuance.Item, []byte, known) {
	s, err := Open(context.Background(), t.TempDir()+"/pando.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	certs := newCertificates(t, 3)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	profile := pki.ProfileRef{Tenant: "acme", Name: "meter", Version: 3}
	items := []*issuance.Item{
		{Serial: pki.NewSerial(pki.SerialLong, at), Owner: "acme", Device: "meter-1", Profile: profile,
			Placement: pki.Placement{ProductLine: "meters", Lot: "lot-1", Site: "north"}, NotBefore: at, NotAfter: at.AddDate(20, 0, 0),
			TBS: certs[1], KeyHash: sha256.Sum256([]byte("key")), RenewSameKey: true, Row: 1 << 40, Endpoint: "plant"},
		{Serial: pki.NewSerial(pki.SerialForever, at), Owner: "partner", Profile: profile, NotBefore: at.AddDate(-100, 0, 0),
			NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), TBS: []byte{0x30}, SharedKey: true,
			Idempotency: "order 7", RequestHash: sha256.Sum256([]byte("request")), Endpoint: "line-1", Request: []byte("the request"), Actor: "token:0abc (line 3)"},
	}
	var payload []byte
	k := known{map[int64]ref{}, map[int64]*reference{}}
	if err := s.update(context.Background(), func(tx *tx) error {
		num, err := tx.intern(profileRef(profile))
		if err != nil {
			return err
		}
		if _, err := tx.packCertificate(nil, 1, num, certs[0], sha256.Sum256(certs[0])); err != nil {
			return err
		}
		payload, err = tx.encodePayload(1, items, sumsOf(items), time.Now())
		for r, num := range tx.refs {
			k.refs[num] = r
		}
		for _, r := range tx.ders {
			k.references[r.num] = r
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return items, payload, k
}

func TestPayload(t *testing.T) {
	items, payload, k := newPayload(t)
	got, err := decodePayload(payload, k)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(items, got); diff != "" {
		t.Error(diff)
	}
	if len(payload) > 800 {
		t.Errorf("the payload of a certificate and a byte has %d bytes", len(payload))
	}
	ends := map[int]bool{0: true}
	for i := range payload {
		got, err := decodePayload(payload[:i], k)
		if err == nil && digestOf(got) == digestOf(items) {
			t.Errorf("cut at %d of %d it is the same", i, len(payload))
		}
		if err == nil {
			ends[i] = true
		}
	}
	if len(ends) != 2 { // whole items can be lost, which the intent's digest tells
		t.Errorf("it can be cut at %v", ends)
	}
}

func TestVoided(t *testing.T) {
	items := []check.VoidedItem{
		{Place: 0, Serial: pki.Serial{1}, TBSHash: sha256.Sum256([]byte("a"))},
		{Place: 999, Serial: pki.Serial{2}, TBSHash: sha256.Sum256([]byte("b"))},
	}
	b := encodeVoided(items)
	got, err := decodeVoided(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(items, got); diff != "" {
		t.Error(diff)
	}
	if _, err := decodeVoided(b[:len(b)-1]); !errors.Is(err, errDamaged) {
		t.Errorf("cut: %v", err)
	}
}

func FuzzPayload(f *testing.F) {
	_, payload, k := newPayload(f)
	f.Add(payload)
	f.Fuzz(func(t *testing.T, b []byte) {
		items, err := decodePayload(b, k)
		if err == nil && len(b) == 0 != (len(items) == 0) {
			t.Errorf("%d items in %d bytes", len(items), len(b))
		}
	})
}

func FuzzVoided(f *testing.F) {
	f.Add(encodeVoided([]check.VoidedItem{{Place: 300, Serial: pki.Serial{1}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		items, err := decodeVoided(b)
		if err != nil {
			return
		}
		again, err := decodeVoided(encodeVoided(items))
		if err != nil || !cmp.Equal(items, again) {
			t.Errorf("%v became %v, %v", items, again, err)
		}
	})
}

// TestTampered changes stored bytes behind the store's back: what was changed is
// not given out, and the error says which certificate it is.
func TestTampered(t *testing.T) {
	for _, test := range []struct {
		name   string
		change string // of the second certificate, or of its reference
	}{
		{"the delta", `UPDATE certificate SET der = CAST(substr(der, 1, length(der) - 8) || zeroblob(8) AS BLOB) WHERE id = 2`},
		{"the hash", `UPDATE certificate SET der = CAST(x'01' || zeroblob(16) || substr(der, 18) AS BLOB) WHERE id = 2`},
		{"another's bytes", `UPDATE certificate SET der = CAST((SELECT substr(der, 1, 17) FROM certificate WHERE id = 3) || substr(der, 18) AS BLOB) WHERE id = 2`},
		{"nothing left", `UPDATE certificate SET der = x'' WHERE id = 2`},
		{"the reference", `UPDATE der_reference SET der = CAST(substr(der, 1, 499) || x'ff' || substr(der, 501) AS BLOB)`},
		{"no reference", `DELETE FROM der_reference`},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			serials := issueThree(t, dir)
			s := open(t, dir)
			if _, err := s.write.conn.ExecContext(t.Context(), test.change); err != nil {
				t.Fatal(err)
			}
			s.Close()
			s = open(t, dir) // without what was cached
			defer s.Close()
			cert, err := s.Certificate(t.Context(), "acme", "issuer", serials[1])
			if cert != nil || !errors.Is(err, errDamaged) || !bytes.Contains([]byte(err.Error()), []byte(serials[1].String())) {
				t.Errorf("got %v, %v", cert, err)
			}
			if pki.KindOf(err) != pki.Internal {
				t.Errorf("the error has kind %s", pki.KindOf(err))
			}
			all, _, err := s.ScanCertificates(t.Context(), 0, 10)
			if err != nil || len(all) != 3 || all[1].DER != nil || all[1].Serial != serials[1] {
				t.Errorf("scanned %v, %v", all, err)
			}
		})
	}
}

// issueThree issues certificates under one profile into a new database.
func issueThree(t *testing.T, dir string) []pki.Serial {
	t.Helper()
	s := open(t, dir)
	defer s.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	e := pki.Event{Tenant: "acme", At: now}
	must(s.PutAuthority(t.Context(), &pki.Authority{ID: "authority", Tenant: "acme", Name: "a", Shards: 1},
		&pki.Issuer{ID: "issuer", Authority: "authority", Tenant: "acme", Shards: 1}, e))
	in := &issuance.Intent{ID: "intent", Issuer: "issuer", Tenant: "acme", Attempt: 1}
	var serials []pki.Serial
	for _, der := range newCertificates(t, 3) {
		it := &issuance.Item{Serial: pki.NewSerial(pki.SerialLong, now), Owner: "acme", Profile: pki.ProfileRef{Tenant: "acme", Name: "meter", Version: 1},
			NotBefore: now, NotAfter: now, SharedKey: true, TBS: der}
		in.Items, serials = append(in.Items, it), append(serials, it.Serial)
	}
	must(s.Commit(t.Context(), now, nil, []*issuance.Intent{in}))
	for _, it := range in.Items {
		it.DER = it.TBS
	}
	must(s.Commit(t.Context(), now, []*issuance.Intent{in}, nil))
	must(in.Err)

	// Of each group and event there is one row of leaves.
	leaves, err := list(t.Context(), s.read, func(row row) (kind string, err error) {
		var ref, count int64
		if err := row.Scan(&kind, &ref, &count); err != nil {
			return "", err
		}
		if want := map[string]int64{leafEvent: 1, leafCertificates: 3}[kind]; count != want || ref != 1 {
			t.Errorf("the %s leaf group has ref %d and count %d", kind, ref, count)
		}
		return kind, nil
	}, `SELECT kind, ref, count FROM leaf_group ORDER BY id`)
	must(err)
	if diff := cmp.Diff([]string{leafEvent, leafCertificates}, leaves); diff != "" {
		t.Error(diff)
	}
	return serials
}

// BenchmarkCommit measures groups of 50, each recorded with the next one's intent.
func BenchmarkCommit(b *testing.B) {
	const group = 50
	s, err := Open(b.Context(), b.TempDir()+"/pando.db", Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	e := pki.Event{Tenant: "acme", At: now}
	if err := s.PutAuthority(b.Context(), &pki.Authority{ID: "authority", Tenant: "acme", Name: "a", Shards: 1},
		&pki.Issuer{ID: "issuer", Authority: "authority", Tenant: "acme", Shards: 1}, e); err != nil {
		b.Fatal(err)
	}
	certs := newCertificates(b, group)
	var records []*issuance.Intent
	n := 0
	for b.Loop() {
		in := &issuance.Intent{ID: pki.IntentID(pki.NewID(now)), Issuer: "issuer", Tenant: "acme", Attempt: 1}
		for _, der := range certs {
			serial := pki.NewSerial(pki.SerialLong, now)
			in.Items = append(in.Items, &issuance.Item{Serial: serial, Owner: "acme", Device: pki.DeviceID("meter-" + serial.String()),
				Profile: pki.ProfileRef{Tenant: "acme", Name: "meter", Version: 1}, NotBefore: now, NotAfter: now,
				TBS: der, KeyHash: sha256.Sum256(serial[:])})
		}
		if err := s.Commit(b.Context(), now, records, []*issuance.Intent{in}); err != nil {
			b.Fatal(err)
		}
		for _, it := range in.Items {
			it.DER = it.TBS
		}
		records = []*issuance.Intent{in}
		n += group
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/certificate")
}
