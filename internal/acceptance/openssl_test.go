//go:build system

package acceptance

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writeFile writes a file for openssl and returns its path.
func writeFile(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// splitPEM writes each certificate of a file to one of its own and returns their
// names in dir.
func splitPEM(t *testing.T, dir, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		name := fmt.Sprintf("%04d.pem", len(names)+1)
		writeFile(t, dir, name, pem.EncodeToMemory(block))
		names = append(names, name)
	}
	return names
}

// verifyAll has openssl verify certificates, strictly. It returns what openssl
// says of those that it refuses.
func verifyAll(t *testing.T, dir string, options, names []string) (refused []string) {
	t.Helper()
	accepted := 0
	for part := range slices.Chunk(names, 500) {
		args := slices.Concat([]string{"verify", "-x509_strict"}, options, part)
		out := run(t, dir, "openssl", args...)
		accepted += strings.Count(out.stdout, ": OK\n")
		for line := range strings.Lines(out.stderr) {
			if strings.HasPrefix(line, "error ") && !strings.HasSuffix(line, "verification failed\n") {
				refused = append(refused, line)
			}
		}
	}
	if accepted+len(refused) != len(names) {
		t.Errorf("openssl verify of %d certificates accepts %d and refuses %d", len(names), accepted, len(refused))
	}
	return refused
}

// testVerify has openssl verify every certificate of the batch, without and with
// the CRLs of all shards and of the root, and the authorities' certificates with
// the root's.
func testVerify(t *testing.T, h *house) {
	dir := t.TempDir()
	manufacturing := h.file.Authorities["manufacturing"]
	names := splitPEM(t, dir, h.file.Batch.Results)
	chain := []string{"-CAfile", h.file.Root, "-untrusted", manufacturing.Chain}
	if refused := verifyAll(t, dir, chain, names); len(refused) > 0 {
		t.Errorf("openssl refuses %d of %d certificates: %s", len(refused), len(names), refused[0])
	}

	writeFile(t, dir, "root.crl", fetch(t, rootCRL(t, h)))
	shards := append([]string{"-crl_check_all", "-CRLfile", "root.crl"}, chain...)
	for i, from := range manufacturing.CRLs {
		name := fmt.Sprintf("%d.crl", i)
		writeFile(t, dir, name, fetch(t, from))
		shards = append(shards, "-CRLfile", name)
	}
	refused := verifyAll(t, dir, shards, names)
	if len(refused) != 1 || !strings.Contains(refused[0], "certificate revoked") {
		t.Errorf("with CRLs openssl refuses %d certificates, want one, as revoked: %.500q", len(refused), refused)
	}
	t.Logf("openssl verifies %d certificates, and with CRLs refuses the one that is revoked", len(names))

	for name, a := range h.file.Authorities {
		options := []string{"-crl_check_all", "-CAfile", h.file.Root, "-CRLfile", "root.crl"}
		if refused := verifyAll(t, dir, options, []string{a.Chain}); len(refused) > 0 {
			t.Errorf("openssl refuses the certificate of %s: %s", name, refused[0])
		}
	}
}

// rootCRL returns the URL of the root's CRL, as an issuing authority's
// certificate names it.
func rootCRL(t *testing.T, h *house) string {
	t.Helper()
	issuer := readCertificates(t, h.file.Authorities["manufacturing"].Chain)[0]
	if len(issuer.CRLDistributionPoints) != 1 {
		t.Fatalf("an authority's certificate names %d CRLs, want 1", len(issuer.CRLDistributionPoints))
	}
	return issuer.CRLDistributionPoints[0]
}

// testCRL has openssl verify and read each CRL.
func testCRL(t *testing.T, h *house) {
	dir := t.TempDir()
	for name, a := range h.file.Authorities {
		for i, from := range a.CRLs {
			file := writeFile(t, dir, fmt.Sprintf("%s-%d.crl", name, i), fetch(t, from))
			expect(t, dir, []string{"verify OK", "X509v3 CRL Number", "X509v3 Authority Key Identifier"},
				"openssl", "crl", "-inform", "DER", "-in", file, "-verify", "-CAfile", a.Chain, "-noout", "-text")
		}
	}
	file := writeFile(t, dir, "root.crl", fetch(t, rootCRL(t, h)))
	expect(t, dir, []string{"verify OK", "No Revoked Certificates"},
		"openssl", "crl", "-inform", "DER", "-in", file, "-verify", "-CAfile", h.file.Root, "-noout", "-text")
}

// testOCSP asks the responder with openssl over POST, and with curl over GET.
func testOCSP(t *testing.T, h *house) {
	dir := t.TempDir()
	a := h.file.Authorities["manufacturing"]
	ask := func(more ...string) []string {
		return append([]string{"ocsp", "-issuer", a.Chain, "-CAfile", h.file.Root}, more...)
	}
	const verified = "Response verify OK"
	good, revoked := h.file.Samples.Good+": good", h.file.Samples.Revoked+": revoked"
	expect(t, dir, []string{verified, good}, "openssl", ask("-url", a.OCSP, "-nonce", "-cert", h.file.Samples.Good)...)
	expect(t, dir, []string{verified, revoked, "Reason: keyCompromise"}, "openssl",
		ask("-url", a.OCSP, "-nonce", "-cert", h.file.Samples.Revoked)...)
	for _, nonce := range []string{"-nonce", "-no_nonce"} {
		expect(t, dir, []string{verified, good, revoked}, "openssl",
			ask("-url", a.OCSP, nonce, "-cert", h.file.Samples.Good, "-cert", h.file.Samples.Revoked)...)
	}
	expect(t, dir, []string{verified, ": unknown"}, "openssl", ask("-url", a.OCSP, "-nonce", "-serial", "0x0123456789abcdef")...)

	both := []string{"-no_nonce", "-cert", h.file.Samples.Good, "-cert", h.file.Samples.Revoked}
	expect(t, dir, nil, "openssl", ask(append(both, "-reqout", "request.der")...)...)
	der, err := os.ReadFile(filepath.Join(dir, "request.der"))
	if err != nil {
		t.Fatal(err)
	}
	get := a.OCSP + "/" + url.PathEscape(base64.StdEncoding.EncodeToString(der))
	expect(t, dir, nil, "curl", "-sS", "--fail", "-o", "response.der", get)
	expect(t, dir, []string{verified, good, revoked}, "openssl", ask(append(both, "-respin", "response.der")...)...)
}

// testCA reads what the URLs of CA certificates serve.
func testCA(t *testing.T, h *house) {
	dir := t.TempDir()
	a := h.file.Authorities["manufacturing"]
	base := h.file.HTTP + "/ca/" + path.Base(a.OCSP)
	for _, form := range []string{"cer", "pem", "p7c"} {
		writeFile(t, dir, "ca."+form, fetch(t, base+"."+form))
	}
	expect(t, dir, []string{"Manufacturing CA"}, "openssl", "x509", "-inform", "DER", "-in", "ca.cer", "-noout", "-subject")
	expect(t, dir, []string{"ca.pem: OK"}, "openssl", "verify", "-x509_strict", "-CAfile", h.file.Root, "ca.pem")
	both := []string{"Manufacturing CA", "Demonstration Root"}
	expect(t, dir, both, "openssl", "pkcs7", "-inform", "DER", "-in", "ca.p7c", "-print_certs", "-noout")
	expect(t, dir, append(both, "pkcs7-signedData"), "openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", "ca.p7c")
}

// testTLS has openssl connect to each listener with TLS.
func testTLS(t *testing.T, h *house) {
	for _, listener := range []string{h.file.API, h.file.Devices} {
		u, err := url.Parse(listener)
		if err != nil {
			t.Fatal(err)
		}
		for _, version := range []string{"-tls1_2", "-tls1_3"} {
			expect(t, "", []string{"Verification: OK", "Operations CA"}, "openssl", "s_client", "-connect", u.Host, version,
				"-CAfile", h.file.TLSCA, "-verify_return_error", "-x509_strict", "-verify_ip", "127.0.0.1")
		}
		if out := run(t, "", "openssl", "s_client", "-connect", u.Host, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"); out.status == 0 {
			t.Errorf("%s speaks TLS 1.1", listener)
		}
	}
}
