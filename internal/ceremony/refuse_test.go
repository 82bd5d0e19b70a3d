package ceremony_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/pki"
)

// TestSignRefuses: what is refused leaves no line in the journal.
func TestSignRefuses(t *testing.T) {
	sealed, root := newRoot(t)
	csr, _ := newCSR(t, pki.P256)
	weak, _ := newCSR(t, pki.RSA2048)
	badProof := slices.Clone(csr)
	badProof[len(badProof)-1] ^= 1
	revoked := ceremony.Revocation{Serial: "01", At: testTime, Reason: "superseded"}
	tests := []struct {
		name   string
		change func(cfg *ceremony.SignConfig, req *ceremony.Request)
		crl    bool
		kind   pki.Kind
		say    string
	}{
		{name: "another root", change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Root = "00" + r.Root[2:] }, kind: pki.PolicyRefused, say: "the request is for the root"},
		{name: "wrong passphrase", change: func(c *ceremony.SignConfig, _ *ceremony.Request) { c.Passphrase = pki.NewSecret("wrong horse") }, kind: pki.Forbidden, say: "does not open"},
		{name: "no passphrase", change: func(c *ceremony.SignConfig, _ *ceremony.Request) { c.Passphrase = pki.Secret{} }, kind: pki.Malformed, say: "none was given"},
		{name: "no sealed file", change: func(c *ceremony.SignConfig, _ *ceremony.Request) { c.Sealed += "x" }, kind: pki.NotFound, say: "no such sealed root"},
		{name: "not a sealed file", change: func(c *ceremony.SignConfig, _ *ceremony.Request) { c.Sealed += ".journal" }, kind: pki.Malformed, say: "not a sealed root"},
		{name: "clock behind the journal", change: func(c *ceremony.SignConfig, _ *ceremony.Request) { c.Now = clockAt(testTime.Add(-time.Second)) }, kind: pki.Conflict, say: "set the clock"},
		{name: "clock after the root", change: func(c *ceremony.SignConfig, r *ceremony.Request) {
			r.Made = testTime.AddDate(26, 0, 0)
			c.Now = clockAt(r.Made)
		}, kind: pki.PolicyRefused, say: "the root is valid from"},
		{name: "clock a day before the request", change: func(_ *ceremony.SignConfig, r *ceremony.Request) {
			r.Made = testTime.Add(25*time.Hour + time.Second)
		}, kind: pki.Conflict, say: "the request was made at"},
		{name: "clock years ahead", change: func(c *ceremony.SignConfig, _ *ceremony.Request) { c.Now = clockAt(testTime.AddDate(5, 0, 0)) }, kind: pki.Conflict, say: "the request was made at"},
		{name: "old request", change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Made = testTime.AddDate(0, 0, -90) }, kind: pki.Conflict, say: "90 days"},
		{name: "CSR garbage", change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.CSR = []byte("garbage") }, kind: pki.Malformed, say: "request"},
		{name: "CSR with a broken signature", change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.CSR = badProof }, kind: pki.BadProof, say: "signature"},
		{name: "CSR with a key that the profile refuses", change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.CSR = weak }, kind: pki.BadKey, say: "key"},
		{name: "profile that is no CA's", change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Profile = string(source(t, "device")) }, kind: pki.PolicyRefused, say: "not for CA certificates"},
		{name: "profile with the root's path length", change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Profile = string(source(t, "root")) }, kind: pki.PolicyRefused, say: "path length"},
		{name: "profile garbage", change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Profile = "x: y" }, kind: pki.Malformed, say: "profile of the request"},
		{name: "request of no kind", change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Kind = "" }, kind: pki.Malformed, say: "kind"},
		{name: "number 0", crl: true, change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Number = 0 }, kind: pki.Malformed, say: "number"},
		{name: "number far ahead", crl: true, change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Number = 1_000_001 }, kind: pki.Conflict, say: "at most 1000000 above"},
		{name: "the largest number", crl: true, change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Number = math.MaxInt64 }, kind: pki.Conflict, say: "at most 1000000 above"},
		{name: "401 days", crl: true, change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Days = 401 }, kind: pki.Malformed, say: "days"},
		{name: "serial twice", crl: true, change: func(_ *ceremony.SignConfig, r *ceremony.Request) {
			r.Entries = []ceremony.Revocation{revoked, {Serial: "0001", At: testTime, Reason: "superseded"}}
		}, kind: pki.Malformed, say: "entry 2: serial 01 stands twice"},
		{name: "serial garbage", crl: true, change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Entries[0].Serial = "xyz" }, kind: pki.Malformed, say: "entry 1: serial"},
		{name: "unknown reason", crl: true, change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Entries[0].Reason = "because" }, kind: pki.Malformed, say: "entry 1: reason"},
		{name: "revoked tomorrow", crl: true, change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Entries[0].At = testTime.AddDate(0, 0, 1) }, kind: pki.Malformed, say: "yet to come"},
		{name: "revoked at no time", crl: true, change: func(_ *ceremony.SignConfig, r *ceremony.Request) { r.Entries[0].At = time.Time{} }, kind: pki.Malformed, say: "at is missing"},
	}
	before, err := os.ReadFile(sealed + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := certificateRequest(t, root, csr)
			if tt.crl {
				req = crlRequest(root, 1, revoked)
			}
			cfg := signConfig(sealed, req)
			tt.change(&cfg, req)
			_, err := ceremony.Sign(t.Context(), cfg)
			checkError(t, err, tt.kind, tt.say)
		})
	}
	after, err := os.ReadFile(sealed + ".journal")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Errorf("the journal grew:\n%s", after[len(before):])
	}
}

// TestSignRefusesAnotherMode: a root made for tests signs nothing that is relied
// on.
func TestSignRefusesAnotherMode(t *testing.T) {
	sealed, root := newRoot(t)
	req := crlRequest(root, 1)
	req.Mode, req.StatusURL = pki.Production, "http://pki.example.com"
	_, err := ceremony.Sign(t.Context(), signConfig(sealed, req))
	checkError(t, err, pki.PolicyRefused, "it was made in mode test")
}

// TestSignRefusesOwnKey: a root does not certify its own key under another name.
func TestSignRefusesOwnKey(t *testing.T) {
	sealed, root := newRoot(t)
	key := openKey(t, sealed)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ceremony.Sign(t.Context(), signConfig(sealed, certificateRequest(t, root, csr)))
	checkError(t, err, pki.BadKey, "root's own")
}

// TestSignAfterWrongClock: an act under a clock that is years ahead was refused, so
// that the root signs on under the right one; and at the edges of what is taken.
func TestSignAfterWrongClock(t *testing.T) {
	sealed, root := newRoot(t)
	sign := func(number int64, made, now time.Time) error {
		req := crlRequest(root, number)
		req.Made = made
		cfg := signConfig(sealed, req)
		cfg.Now = clockAt(now)
		_, err := ceremony.Sign(t.Context(), cfg)
		return err
	}
	checkError(t, sign(1, testTime, testTime.AddDate(5, 0, 0)), pki.Conflict, "set the clock")
	checkError(t, sign(1_000_000, testTime.AddDate(0, 0, 1), testTime), 0, "")
	checkError(t, sign(3_000_000, testTime, testTime), pki.Conflict, "at most 1000000 above")
	checkError(t, sign(2_000_000, testTime, testTime.AddDate(0, 0, 90)), 0, "")
}

func TestSignRefusesJournal(t *testing.T) {
	tests := []struct {
		name   string
		change func(lines [][]byte) [][]byte // lines with their ends
		kind   pki.Kind
		say    string
	}{
		{"as it was", func(l [][]byte) [][]byte { return l }, 0, ""},
		{"empty", func([][]byte) [][]byte { return nil }, pki.Conflict, "empty"},
		{"first line away", func(l [][]byte) [][]byte { return l[1:] }, pki.Conflict, "broken at line 1"},
		{"a line away", func(l [][]byte) [][]byte { return slices.Delete(l, 1, 2) }, pki.Conflict, "broken at line 2"},
		{"lines exchanged", func(l [][]byte) [][]byte { l[1], l[2] = l[2], l[1]; return l }, pki.Conflict, "broken at line 2"},
		{"a line twice", func(l [][]byte) [][]byte { return slices.Insert(l, 2, l[1]) }, pki.Conflict, "broken at line 3"},
		{"an edit", func(l [][]byte) [][]byte {
			l[2] = bytes.Replace(l[2], []byte(`"number":1`), []byte(`"number":2`), 1)
			return l
		}, pki.Conflict, "broken at line 4"},
		{"a space more", func(l [][]byte) [][]byte { l[0] = append([]byte(" "), l[0]...); return l }, pki.Conflict, "broken at line 2"},
		{"cut off", func(l [][]byte) [][]byte { l[3] = l[3][:len(l[3])/2]; return l }, pki.Conflict, "line 4 is cut off"},
		{"only its end cut off", func(l [][]byte) [][]byte { l[3] = bytes.TrimSuffix(l[3], []byte("\n")); return l }, pki.Conflict, "line 4 is cut off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sealed, root := newRoot(t)
			if _, err := ceremony.Sign(t.Context(), signConfig(sealed, crlRequest(root, 1))); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(sealed + ".journal")
			if err != nil {
				t.Fatal(err)
			}
			lines := bytes.SplitAfter(b, []byte("\n"))
			changed := bytes.Join(tt.change(lines[:len(lines)-1]), nil)
			if err := os.WriteFile(sealed+".journal", changed, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = ceremony.Sign(t.Context(), signConfig(sealed, crlRequest(root, 9)))
			checkError(t, err, tt.kind, tt.say)
		})
	}
	t.Run("another root's", func(t *testing.T) {
		sealed, root := newRoot(t)
		other, _ := newRoot(t)
		if err := os.Rename(other+".journal", sealed+".journal"); err != nil {
			t.Fatal(err)
		}
		_, err := ceremony.Sign(t.Context(), signConfig(sealed, crlRequest(root, 1)))
		checkError(t, err, pki.Conflict, "another root")
	})
	t.Run("missing", func(t *testing.T) {
		sealed, root := newRoot(t)
		if err := os.Remove(sealed + ".journal"); err != nil {
			t.Fatal(err)
		}
		_, err := ceremony.Sign(t.Context(), signConfig(sealed, crlRequest(root, 1)))
		checkError(t, err, pki.NotFound, "only beside its journal")
	})
}

func TestDamagedSealedFile(t *testing.T) {
	sealed, root := newRoot(t)
	good, err := os.ReadFile(sealed)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 30, len(good) / 2, len(good) - 1} {
		bad := slices.Clone(good)
		bad[at] ^= 1
		if err := os.WriteFile(sealed, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ceremony.Sign(t.Context(), signConfig(sealed, crlRequest(root, 1))); err == nil {
			t.Errorf("octet %d changed: it was opened", at)
		}
	}
	if err := os.WriteFile(sealed, good[:len(good)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = ceremony.Sign(t.Context(), signConfig(sealed, crlRequest(root, 1)))
	checkError(t, err, pki.Malformed, "damaged")
}
