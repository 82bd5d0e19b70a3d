package sqlstore

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-pki/pando/internal/batch"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// newRequests returns n requests as the quickstart's plant makes them, without their keys.
func newRequests(t testing.TB, n int) [][]byte {
	t.Helper()
	all := make([][]byte, n)
	for i := range all {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{SerialNumber: fmt.Sprintf("SM-%06d", i+1)}}, key)
		if err != nil {
			t.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = tbs.CutKey(csr, spki)
	}
	return all
}

func TestPackRequests(t *testing.T) {
	long := make([]byte, maxDelta+1)
	rand.Read(long)
	for name, requests := range map[string][][]byte{
		"no row":            {},
		"none is kept":      {nil, nil},
		"one":               {[]byte("request")},
		"the last":          {nil, nil, []byte("request")},
		"alike":             {[]byte("the request of a meter"), nil, []byte("the request of another meter"), []byte("the request of a meter")},
		"of a chunk":        newRequests(t, batch.ChunkRows),
		"too long":          {long, []byte("request"), long, long[:maxDelta], long[1:]},
		"a delta is longer": {[]byte("request"), []byte("x")},
	} {
		got, err := unpackRequests(packRequests(requests), len(requests))
		if diff := cmp.Diff(requests, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
}

// TestRequestsTake: what is kept of a row is its signature, and little more.
func TestRequestsTake(t *testing.T) {
	requests := newRequests(t, batch.ChunkRows)
	size := float64(len(packRequests(requests))) / batch.ChunkRows
	t.Logf("%.1f octets a row, of %d", size, len(requests[0])+90)
	if size > 90 { // docs/adr/0072: 64 of them are the signature's
		t.Errorf("a request takes %.1f octets", size)
	}
}

// TestDamagedRequests: not an octet of what is packed can be another, or be wanting.
func TestDamagedRequests(t *testing.T) {
	packed := packRequests(newRequests(t, 3))
	for i := range packed {
		other := bytes.Clone(packed)
		other[i] ^= 1
		for _, b := range [][]byte{other, packed[:i]} {
			if got, err := unpackRequests(b, 3); !errors.Is(err, errDamaged) {
				t.Fatalf("octet %d: %x, %v", i, got, err)
			}
		}
	}
	for _, count := range []int{0, 2, 4} {
		if _, err := unpackRequests(packed, count); !errors.Is(err, errDamaged) {
			t.Errorf("as %d rows: %v", count, err)
		}
	}
}

// FuzzUnpackRequests: whatever is stored, what is made of it is bounded, and is what is
// packed to it again.
func FuzzUnpackRequests(f *testing.F) {
	f.Add(packRequests([][]byte{[]byte("the request of a meter"), nil, []byte("the request of another meter")}), 3)
	f.Add(packRequests(newRequests(f, 2)), 2)
	f.Fuzz(func(t *testing.T, packed []byte, count int) {
		if count < 0 || count > 1000 {
			return
		}
		got, err := unpackRequests(packed, count)
		if err != nil {
			return
		}
		size := 0
		for _, r := range got {
			size += len(r)
		}
		if len(got) != count || size > len(packed)+count*maxDelta {
			t.Errorf("%d requests of %d octets", len(got), size)
		}
		again, err := unpackRequests(packRequests(got), count)
		if diff := cmp.Diff(got, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	})
}

// TestPurgeWholeOrNot: where the request of one chunk cannot be kept, the rows of none of
// those in the transaction are dropped.
func TestPurgeWholeOrNot(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	for _, text := range []string{
		`INSERT INTO batch (num, id, tenant, endpoint, profile_tenant, profile_name, profile_version, authority, product_line, lot, site, dry_run, idempotency,
			state, row_count, digest, submitter, created, started, finished) VALUES (7, 'b', 'acme', '', '', '', 1, '', '', '', '', 0, '', 'done', 2, x'` + fmt.Sprintf("%064d", 0) + `', '', 1, 1, 1)`,
		`INSERT INTO batch_chunk (batch, no, first_row, row_count, state, checked, issued, refused) VALUES (7, 0, 1, 1, 'closed', 0, 1, 0), (7, 1, 2, 1, 'closed', 0, 1, 0)`,
		`INSERT INTO batch_rows (batch, no, rows) VALUES (7, 0, x'00'), (7, 1, x'00')`,
		`INSERT INTO certificate (id, serial, issuer, tenant, owner, device, profile, intent, place, batch, row_no, not_before, not_after, issued, der)
			VALUES (1, x'01', 1, 1, 1, '', 1, 1, 0, 7, 1, 1, 1, 1, x'00'), (2, x'02', 1, 1, 1, '', 1, 1, 1, 7, 2, 1, 1, 1, x'00')`,
		`INSERT INTO batch_request (batch, no, packed) VALUES (7, 1, x'00')`, // so that there is no place for it
	} {
		if _, err := s.write.conn.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	purge := func() (int, error) {
		chunks, err := s.PurgeableRows(t.Context(), time.Now(), batch.ChunkID{}, 10)
		if err != nil || len(chunks) != 2 {
			t.Fatalf("%d chunks, %v", len(chunks), err)
		}
		for _, p := range chunks {
			p.Requests = [][]byte{fmt.Append(nil, "request of row ", p.Chunk.First)}
		}
		return s.PurgeRows(t.Context(), time.Now(), chunks...)
	}
	if n, err := purge(); err == nil || n == 2 {
		t.Errorf("%d are dropped, %v", n, err)
	}
	if _, _, err := s.KeptRequests(t.Context(), "acme", "b", 1); pki.KindOf(err) != pki.NotFound {
		t.Errorf("of the first chunk: %v", err)
	}
	if _, _, err := s.KeptRequests(t.Context(), "acme", "b", 2); !errors.Is(err, errDamaged) {
		t.Errorf("of what is damaged: %v", err)
	}
	kept, err := s.ScanRequests(t.Context(), 0, 10)
	if err != nil || len(kept) != 1 || !kept[0].Damaged || kept[0].Batch != "b" || kept[0].Chunk != 1 {
		t.Errorf("%+v, %v", kept, err)
	}
	if _, err := s.write.conn.ExecContext(t.Context(), `DELETE FROM batch_request`); err != nil {
		t.Fatal(err)
	}
	if n, err := purge(); n != 2 || err != nil {
		t.Errorf("%d are dropped, %v", n, err)
	}
	for row := int64(1); row <= 2; row++ {
		first, got, err := s.KeptRequests(t.Context(), "acme", "b", row)
		if err != nil || first != row || string(got[0]) != fmt.Sprint("request of row ", row) {
			t.Errorf("row %d: %d, %q, %v", row, first, got, err)
		}
	}
}
