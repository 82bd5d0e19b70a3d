package ceremony_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
)

const testPassphrase = "correct horse"

var testTime = time.Date(2026, 10, 1, 12, 0, 0, 123, time.UTC)

func clockAt(at time.Time) pki.Clock { return func() time.Time { return at } }

// source returns the document of a reference profile.
func source(t testing.TB, name string) []byte {
	t.Helper()
	b, err := packs.Document(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rootConfig returns the configuration of a test root at path.
func rootConfig(t testing.TB, path string) ceremony.RootConfig {
	return ceremony.RootConfig{
		Mode: pki.Test, CommonName: "Test Root", Organization: "Acme",
		Profile: source(t, "root"), Passphrase: pki.NewSecret(testPassphrase), WorkFactor: 1,
		Sealed: path, Now: clockAt(testTime),
	}
}

// newRoot makes a test root and returns its path and certificate.
func newRoot(t testing.TB) (sealed string, certificate *x509.Certificate) {
	t.Helper()
	sealed = filepath.Join(t.TempDir(), "root.sealed")
	der, err := ceremony.NewRoot(t.Context(), rootConfig(t, sealed))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err = x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return sealed, certificate
}

// newCSR returns a request by a new key.
func newCSR(t testing.TB, kind pki.KeyKind) ([]byte, crypto.Signer) {
	t.Helper()
	key, err := keystore.NewPrivateKey(kind)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "ignored"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func certificateRequest(t testing.TB, root *x509.Certificate, csr []byte) *ceremony.Request {
	sum := sha256.Sum256(root.Raw)
	return &ceremony.Request{
		Kind: ceremony.KindCertificate, Mode: pki.Test, Made: testTime, Root: hex.EncodeToString(sum[:]),
		RootIssuer: "rootissuer", StatusURL: "http://127.0.0.1:8080",
		Issuer: "newissuer", ProfileTenant: "acme", ProfileVersion: 3, Profile: string(source(t, "issuing-ca")),
		CommonName: "Manufacturing", Organization: "Acme", CSR: csr,
	}
}

func crlRequest(root *x509.Certificate, number int64, entries ...ceremony.Revocation) *ceremony.Request {
	sum := sha256.Sum256(root.Raw)
	return &ceremony.Request{
		Kind: ceremony.KindCRL, Mode: pki.Test, Made: testTime, Root: hex.EncodeToString(sum[:]),
		RootIssuer: "rootissuer", StatusURL: "http://127.0.0.1:8080", Number: number, Entries: entries,
	}
}

func signConfig(sealed string, req *ceremony.Request) ceremony.SignConfig {
	return ceremony.SignConfig{
		Sealed: sealed, Passphrase: pki.NewSecret(testPassphrase), Request: req, Now: clockAt(testTime.Add(time.Hour)),
	}
}

// checkError checks an error's kind and a part of its text; an empty part wants
// no error.
func checkError(t *testing.T, err error, kind pki.Kind, say string) {
	t.Helper()
	switch {
	case say == "" && err != nil:
		t.Errorf("error %v", err)
	case say != "" && (err == nil || pki.KindOf(err) != kind || !strings.Contains(err.Error(), say)):
		t.Errorf("error %v of kind %v, want %v: %q", err, pki.KindOf(err), kind, say)
	}
}

func TestNewRoot(t *testing.T) {
	sealed, root := newRoot(t)
	if err := root.CheckSignatureFrom(root); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff("CN=Test Root,O=Acme", root.Subject.String()); diff != "" {
		t.Errorf("subject (-want +got):\n%s", diff)
	}
	if !root.IsCA || root.MaxPathLen != 1 || !bytes.Equal(root.SubjectKeyId, root.AuthorityKeyId) || len(root.CRLDistributionPoints) > 0 {
		t.Errorf("CA %v, path length %d, SKI %x, AKI %x, CRLDP %v", root.IsCA, root.MaxPathLen, root.SubjectKeyId, root.AuthorityKeyId, root.CRLDistributionPoints)
	}
	for _, path := range []string{sealed, sealed + ".journal"} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, want -rw-------", path, info.Mode())
		}
	}
	b, err := os.ReadFile(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b, []byte("age-encryption.org/v1\n-> scrypt ")) || bytes.Contains(b, root.RawSubjectPublicKeyInfo) {
		t.Error("the sealed file is not age under a passphrase alone")
	}
}

func TestNewRootRefuses(t *testing.T) {
	sealed, _ := newRoot(t)
	tests := []struct {
		name   string
		change func(*ceremony.RootConfig)
		kind   pki.Kind
		say    string
	}{
		{"sealed file exists", func(c *ceremony.RootConfig) { c.Sealed = sealed }, pki.Conflict, "is not overwritten"},
		{"no such directory", func(c *ceremony.RootConfig) { c.Sealed += "/x/y" }, pki.NotFound, "no such directory"},
		{"short passphrase", func(c *ceremony.RootConfig) { c.Passphrase = pki.NewSecret("ÄÄÄÄÄÄÄ") }, pki.Malformed, "8 characters"},
		{"short passphrase in production", func(c *ceremony.RootConfig) {
			c.Mode, c.WorkFactor, c.Passphrase = pki.Production, 0, pki.NewSecret("eleven char")
		}, pki.Malformed, "12 characters"},
		{"low work factor in production", func(c *ceremony.RootConfig) { c.Mode, c.WorkFactor = pki.Production, 17 }, pki.Malformed, "18 to 22"},
		{"work factor too high", func(c *ceremony.RootConfig) { c.WorkFactor = 23 }, pki.Malformed, "work factor"},
		{"negative work factor", func(c *ceremony.RootConfig) { c.WorkFactor = -1 }, pki.Malformed, "work factor"},
		{"no mode", func(c *ceremony.RootConfig) { c.Mode = "" }, pki.Malformed, "production or test"},
		{"no name", func(c *ceremony.RootConfig) { c.CommonName = "" }, pki.Malformed, "common name"},
		{"control character in the name", func(c *ceremony.RootConfig) { c.CommonName = "a\x07b" }, pki.Malformed, "printable"},
		{"space before the name", func(c *ceremony.RootConfig) { c.CommonName = " a" }, pki.Malformed, "no space at either end"},
		{"name that is not UTF-8", func(c *ceremony.RootConfig) { c.CommonName = "a\xff" }, pki.Malformed, "printable"},
		{"name too long", func(c *ceremony.RootConfig) { c.CommonName = strings.Repeat("x", 65) }, pki.Malformed, "1 to 64"},
		{"control character in the organization", func(c *ceremony.RootConfig) { c.Organization = "a\nb" }, pki.Malformed, "organization"},
		{"no path", func(c *ceremony.RootConfig) { c.Sealed = "" }, pki.Malformed, "path"},
		{"no profile", func(c *ceremony.RootConfig) { c.Profile = nil }, pki.Malformed, "profile"},
		{"profile that is no CA's", func(c *ceremony.RootConfig) { c.Profile = source(t, "device") }, pki.PolicyRefused, "not for CA certificates"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			cfg := rootConfig(t, filepath.Join(dir, "root.sealed"))
			tt.change(&cfg)
			_, err := ceremony.NewRoot(t.Context(), cfg)
			checkError(t, err, tt.kind, tt.say)
			left, err := os.ReadDir(dir)
			if err != nil || len(left) > 0 {
				t.Errorf("it left %v; error %v", left, err)
			}
		})
	}
}

// TestNewRootAfterCrash: a journal without its sealed file stops a new root at
// its place, and stays.
func TestNewRootAfterCrash(t *testing.T) {
	sealed, _ := newRoot(t)
	if err := os.Remove(sealed); err != nil {
		t.Fatal(err)
	}
	_, err := ceremony.NewRoot(t.Context(), rootConfig(t, sealed))
	checkError(t, err, pki.Conflict, "Move it away")
	if _, err := os.Stat(sealed); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a sealed file was made: %v", err)
	}
}

func TestProductionRoot(t *testing.T) {
	cfg := rootConfig(t, filepath.Join(t.TempDir(), "root.sealed"))
	cfg.Mode, cfg.WorkFactor = pki.Production, 0
	if _, err := ceremony.NewRoot(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(cfg.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	stanza, _, _ := strings.Cut(string(b[len("age-encryption.org/v1\n"):]), "\n")
	if !strings.HasSuffix(stanza, " 18") {
		t.Errorf("work factor: %s", stanza)
	}
}

func TestSignCertificate(t *testing.T) {
	sealed, root := newRoot(t)
	csr, key := newCSR(t, pki.P256)
	resp, err := ceremony.Sign(t.Context(), signConfig(sealed, certificateRequest(t, root, csr)))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Kind != ceremony.KindCertificate || resp.Issuer != "newissuer" || resp.CRL != nil || resp.RootIssuer != "" {
		t.Errorf("response %+v", resp)
	}
	c, err := x509.ParseCertificate(resp.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CheckSignatureFrom(root); err != nil {
		t.Error(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	if _, err := c.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: testTime.AddDate(1, 0, 0), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff("CN=Manufacturing,O=Acme", c.Subject.String()); diff != "" {
		t.Errorf("subject (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"http://127.0.0.1:8080/crl/rootissuer/0.crl"}, c.CRLDistributionPoints); diff != "" {
		t.Errorf("CRLDP (-want +got):\n%s", diff)
	}
	if !c.IsCA || c.MaxPathLen != 0 || !c.MaxPathLenZero {
		t.Errorf("CA %v, path length %d", c.IsCA, c.MaxPathLen)
	}
	if want, err := x509.MarshalPKIXPublicKey(key.Public()); err != nil || !bytes.Equal(want, c.RawSubjectPublicKeyInfo) {
		t.Errorf("another key was certified; error %v", err)
	}
}

func TestSignCRL(t *testing.T) {
	sealed, root := newRoot(t)
	req := crlRequest(root, 7,
		ceremony.Revocation{Serial: "42aa", At: testTime, Reason: "keyCompromise"},
		ceremony.Revocation{Serial: "01", At: testTime.Add(-time.Hour), Reason: "unspecified"})
	resp, err := ceremony.Sign(t.Context(), signConfig(sealed, req))
	if err != nil {
		t.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(resp.CRL)
	if err != nil {
		t.Fatal(err)
	}
	if err := crl.CheckSignatureFrom(root); err != nil {
		t.Error(err)
	}
	at := testTime.Add(time.Hour).Truncate(time.Second)
	if crl.Number.Int64() != 7 || !crl.ThisUpdate.Equal(at) || !crl.NextUpdate.Equal(at.AddDate(0, 0, 365)) {
		t.Errorf("number %v, from %v to %v", crl.Number, crl.ThisUpdate, crl.NextUpdate)
	}
	type entry struct {
		Serial int64
		At     time.Time
		Reason int
	}
	var got []entry
	for _, e := range crl.RevokedCertificateEntries {
		got = append(got, entry{e.SerialNumber.Int64(), e.RevocationTime, e.ReasonCode})
	}
	want := []entry{
		{0x42aa, testTime.Truncate(time.Second), 1},
		{1, testTime.Add(-time.Hour).Truncate(time.Second), 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}

	for number, say := range map[int64]string{7: "numbers only grow", 6: "numbers only grow"} {
		_, err := ceremony.Sign(t.Context(), signConfig(sealed, crlRequest(root, number)))
		checkError(t, err, pki.Conflict, say)
	}
	empty, err := ceremony.Sign(t.Context(), signConfig(sealed, crlRequest(root, 8)))
	if err != nil {
		t.Fatal(err)
	}
	if crl, err = x509.ParseRevocationList(empty.CRL); err != nil || crl.Number.Cmp(big.NewInt(8)) != 0 || len(crl.RevokedCertificateEntries) != 0 {
		t.Errorf("empty CRL: %+v, error %v", crl, err)
	}
}
