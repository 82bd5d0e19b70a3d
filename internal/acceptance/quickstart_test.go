//go:build system

package acceptance

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/quickstart"
)

// meters is the default batch of the story.
const meters = 1000

// storyWithin is the promise of how long the quickstart takes, its batch of 1,000
// included, once it is compiled.
const storyWithin = 10 * time.Second

// TestQuickstart plays the story and has what it leaves and serves judged by other
// programs; then it serves the same directory again.
func TestQuickstart(t *testing.T) {
	h := prepareHouse(t)
	before := machineCPU(t)
	took := h.quickstart(t)
	left := h.server.left(t, before)
	t.Logf("quickstart, with a batch of %d, was ready after %.1f s, for which others left it %.0f %% of the machine", meters, took.Seconds(), 100*left)
	if took.Seconds()*left > storyWithin.Seconds() {
		t.Errorf("the promise is %v, where nothing else runs", storyWithin)
	}
	t.Run("file", func(t *testing.T) { testFile(t, h) })
	t.Run("batch", func(t *testing.T) { testBatch(t, h) })
	t.Run("verify", func(t *testing.T) { testVerify(t, h) })
	t.Run("crl", func(t *testing.T) { testCRL(t, h) })
	t.Run("ocsp", func(t *testing.T) { testOCSP(t, h) })
	t.Run("ca", func(t *testing.T) { testCA(t, h) })
	t.Run("tls", func(t *testing.T) { testTLS(t, h) })
	t.Run("rest", func(t *testing.T) { testREST(t, h) })
	first := *h.file
	h.stop(t)

	t.Logf("started again, it was ready after %.1f s", h.quickstart(t).Seconds())
	if diff := cmp.Diff(first, *h.file); diff != "" {
		t.Errorf("quickstart.json changed with the second start (-first +second):\n%s", diff)
	}
	t.Run("crl again", func(t *testing.T) { testCRL(t, h) })
	t.Run("ocsp again", func(t *testing.T) { testOCSP(t, h) })
	t.Run("tls again", func(t *testing.T) { testTLS(t, h) })
	t.Run("rest again", func(t *testing.T) { testREST(t, h) })
	h.stop(t)
	h.check(t, filepath.Join(h.dir, "plant", "acknowledged.ndjson"))

	elsewhere := append([]string{"quickstart", "--exit", "--data", h.dir}, listenFlags(t)...)
	refused(t, pando(t, elsewhere...), "--http "+strings.TrimPrefix(h.file.HTTP, "http://"))
}

// quickstart starts "pando quickstart", waits until it has said where everything
// is, and returns how long that took.
func (h *house) quickstart(t *testing.T) time.Duration {
	t.Helper()
	if err := os.Remove(h.log); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	h.server = start(t, h.log, os.Getenv(binaryVariable), append([]string{"quickstart", "--data", h.dir}, h.listen...)...)
	for {
		text, err := os.ReadFile(h.log)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("serving; stop with Ctrl-C")) {
			break
		}
		select {
		case <-h.server.ended:
			t.Fatalf("quickstart ended: %s", h.server.cmd.ProcessState)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Since(h.server.started) > hung {
			t.Fatalf("quickstart is not ready after %s", hung)
		}
	}
	took := time.Since(h.server.started)
	h.read(t)
	return took
}

// testFile holds quickstart.json against its contract: the members of the parts
// that are built, each of which leads to something, and no other.
func testFile(t *testing.T, h *house) {
	path := filepath.Join(h.dir, quickstart.FileName)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	members := func(of any) []string { return slices.Sorted(maps.Keys(of.(map[string]any))) }
	authority := []string{"chain", "crls", "id", "ocsp"}
	for _, c := range []struct {
		of   any
		want []string
	}{
		{file, []string{"api", "authorities", "batch", "devices", "est", "http", "ops", "root", "samples", "scep", "tenant", "tls_ca", "token"}},
		{file["authorities"], []string{"code-verification", "firmware", "manufacturing", "operations"}},
		{file["authorities"].(map[string]any)["manufacturing"], authority},
		{file["authorities"].(map[string]any)["firmware"], authority},
		{file["authorities"].(map[string]any)["code-verification"], authority},
		{file["authorities"].(map[string]any)["operations"], authority},
		{file["samples"], []string{"good", "key", "revoked"}},
		{file["batch"], []string{"id", "results"}},
		{file["scep"], []string{"challenge", "url"}},
		{file["est"], []string{"base", "label", "password", "user"}},
	} {
		if diff := cmp.Diff(c.want, members(c.of)); diff != "" {
			t.Errorf("quickstart.json (-want +got):\n%s", diff)
		}
	}

	for _, secret := range []string{path, h.file.Samples.Key, filepath.Join(h.data(), "kek.key"), filepath.Join(h.data(), "pando.db"), filepath.Join(h.data(), "operator.token")} {
		info, err := os.Stat(secret)
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != 0o600 {
			t.Errorf("%s is of mode %04o, want 0600", secret, info.Mode().Perm())
		}
	}
	root := readCertificates(t, h.file.Root)
	if len(root) != 1 || !root[0].IsCA || root[0].CheckSignatureFrom(root[0]) != nil {
		t.Errorf("%s is not one self-signed CA certificate", h.file.Root)
	}
	for name, a := range h.file.Authorities {
		chain := readCertificates(t, a.Chain)
		if len(chain) != 2 || chain[0].CheckSignatureFrom(root[0]) != nil || !chain[1].Equal(root[0]) {
			t.Errorf("%s: %s is not the issuer's certificate and the root's", name, a.Chain)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		fetch(t, h.file.Ops+path)
	}
}

// testBatch reads the results of the batch and the samples.
func testBatch(t *testing.T, h *house) {
	serials, keys := make(map[string]bool), make(map[string]bool)
	results := readCertificates(t, h.file.Batch.Results)
	for _, c := range results {
		serials[c.SerialNumber.String()], keys[string(c.RawSubjectPublicKeyInfo)] = true, true
	}
	if len(results) != meters || len(serials) != meters || len(keys) != meters {
		t.Errorf("%d results with %d serial numbers and %d keys, want %d of each", len(results), len(serials), len(keys), meters)
	}
	if _, err := tls.LoadX509KeyPair(h.file.Samples.Good, h.file.Samples.Key); err != nil {
		t.Errorf("the sample and its key: %v", err)
	}
	good, revoked := readCertificates(t, h.file.Samples.Good)[0], readCertificates(t, h.file.Samples.Revoked)[0]
	if good.Equal(revoked) || !slices.ContainsFunc(results, good.Equal) || !slices.ContainsFunc(results, revoked.Equal) {
		t.Error("the samples are not two certificates of the batch")
	}
	b, err := h.as(t, "").Batch(t.Context(), h.file.Batch.ID)
	if err != nil {
		t.Fatal(err)
	}
	if b.State != "done" || b.Rows != meters || b.Issued != meters {
		t.Errorf("the API says that batch %s is %s with %d of %d rows issued", b.ID, b.State, b.Issued, b.Rows)
	}
}

// readCertificates reads every certificate of a PEM file.
func readCertificates(t *testing.T, path string) []*x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no certificate", path)
	}
	return all
}

// testREST calls the API with curl, and with pando's own command line.
func testREST(t *testing.T, h *house) {
	dir := t.TempDir()
	writeFile(t, dir, "headers", []byte("Authorization: Bearer "+h.file.Token.Reveal()+"\n"))
	curl := func(want, path string, more ...string) {
		t.Helper()
		args := append([]string{"-sS", "--cacert", h.file.TLSCA}, more...)
		expect(t, dir, []string{want}, "curl", append(args, h.file.API+path)...)
	}
	curl(`"role":"tenant-administrator"`, "/whoami", "--fail", "-H", "@headers")
	curl(`"batch":"`+h.file.Batch.ID+`"`, "/certificates?device=SM-000001", "--fail", "-H", "@headers")
	curl(`"openapi":"3.1.`, "/openapi.json", "--fail")
	curl(`"kind":"unauthenticated"`, "/whoami")
	if out := pando(t, "--quickstart", h.dir, "batch", "list"); out.status != 0 || !strings.Contains(out.stdout, h.file.Batch.ID) {
		t.Errorf("pando batch list: exit status %d\n%s%s", out.status, out.stdout, out.stderr)
	}
}
