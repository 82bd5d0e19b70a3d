//go:build system

package status_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// A place is a directory with the VA's certificates, where openssl runs.
type place struct {
	dir           string
	good, revoked pki.Serial
}

func newPlace(t *testing.T, v *revocationtest.VA) place {
	t.Helper()
	p := place{dir: t.TempDir(), good: v.Issue(), revoked: v.Issue()}
	g := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
	if _, err := v.Revoke(t.Context(), g, v.CA.Issuer.ID, p.revoked, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	p.write(t, "issuer.pem", pemOf(v.CA.Certificate.Raw))
	p.write(t, "chain.pem", append(pemOf(v.CA.Certificate.Raw), pemOf(v.Root.Certificate.Raw)...))
	return p
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func (p place) write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// openssl runs openssl and returns all that it prints.
func (p place) openssl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Dir = p.dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// with returns args and more of them, in a slice of their own.
func with(args []string, more ...string) []string { return slices.Concat(args, more) }

// expect runs openssl, which must succeed and print each of want.
func (p place) expect(t *testing.T, want []string, args ...string) {
	t.Helper()
	out, err := p.openssl(t, args...)
	if err != nil {
		t.Errorf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("openssl %s does not say %q:\n%s", strings.Join(args, " "), w, out)
		}
	}
	if strings.Contains(out, "WARNING") {
		t.Errorf("openssl %s warns:\n%s", strings.Join(args, " "), out)
	}
}

func TestOpenSSLOCSP(t *testing.T) {
	v := revocationtest.New(t, 1)
	p, server := newPlace(t, v), serve(t, v)
	good, revoked := "0x"+p.good.String(), "0x"+p.revoked.String()
	client := []string{"ocsp", "-issuer", "issuer.pem", "-CAfile", "chain.pem"}
	post := with(client, "-url", server.URL+"/ocsp/issuer")
	ok := []string{"Response verify OK", good + ": good", revoked + ": revoked", "Reason: keyCompromise"}

	t.Run("POST with nonce, SHA-1", func(t *testing.T) {
		p.expect(t, ok[:2], with(post, "-nonce", "-serial", good)...)
		p.expect(t, []string{ok[0], ok[2], ok[3]}, with(post, "-nonce", "-serial", revoked)...)
	})
	t.Run("POST without nonce, SHA-256, from the cache", func(t *testing.T) {
		for range 2 {
			p.expect(t, []string{ok[0], ok[2], ok[3]}, with(post, "-no_nonce", "-sha256", "-serial", revoked)...)
		}
	})
	t.Run("POST with nonce and two CertIDs, SHA-256 and SHA-1", func(t *testing.T) {
		p.expect(t, ok, with(post, "-nonce", "-sha256", "-serial", good, "-sha1", "-serial", revoked)...)
	})
	t.Run("unknown", func(t *testing.T) {
		p.expect(t, []string{ok[0], "0x1234: unknown"}, with(post, "-serial", "0x1234")...)
	})
	t.Run("unauthorized", func(t *testing.T) {
		out, _ := p.openssl(t, with(client, "-url", server.URL+"/ocsp/root", "-serial", good)...)
		if !strings.Contains(out, "Responder Error: unauthorized") {
			t.Errorf("openssl says:\n%s", out)
		}
	})
	t.Run("GET", func(t *testing.T) {
		p.expect(t, nil, with(client, "-no_nonce", "-serial", good, "-sha256", "-serial", revoked, "-reqout", "request.der")...)
		request, err := os.ReadFile(filepath.Join(p.dir, "request.der"))
		if err != nil {
			t.Fatal(err)
		}
		_, body := do(t, server, http.MethodGet, "/ocsp/issuer/"+base64.StdEncoding.EncodeToString(request), nil, nil)
		p.write(t, "response.der", body)
		p.expect(t, ok, with(client, "-no_nonce", "-serial", good, "-sha256", "-serial", revoked, "-respin", "response.der")...)
	})
}

// TestOpenSSLCRL verifies certificates against the CRL of their distribution
// point, which openssl accepts only where the IssuingDistributionPoint is equal.
func TestOpenSSLCRL(t *testing.T) {
	const shards = 3
	v := revocationtest.New(t, shards)
	p, server := newPlace(t, v), serve(t, v)
	if _, err := v.PublishDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, serial := range map[string]pki.Serial{"good": p.good, "revoked": p.revoked} {
		path := "/crl/issuer/" + string('0'+rune(serial.Shard(shards))) + ".crl"
		_, crl := do(t, server, http.MethodGet, path, nil, nil)
		p.write(t, name+".crl", crl)
		p.write(t, name+".pem", pemOf(certificate(t, v, serial, "http://status.example"+path)))
		p.expect(t, []string{"verify OK", "X509v3 CRL Number", "X509v3 Issuing Distribution Point: critical"},
			"crl", "-inform", "DER", "-in", name+".crl", "-CAfile", "chain.pem", "-noout", "-text")
		p.expect(t, nil, "crl", "-inform", "DER", "-in", name+".crl", "-out", name+".crl.pem")
	}
	verify := []string{"verify", "-x509_strict", "-crl_check", "-CAfile", "chain.pem", "-CRLfile"}
	p.expect(t, []string{"good.pem: OK"}, with(verify, "good.crl.pem", "good.pem")...)
	if out, err := p.openssl(t, with(verify, "revoked.crl.pem", "revoked.pem")...); err == nil || !strings.Contains(out, "certificate revoked") {
		t.Errorf("openssl verify of the revoked certificate: %v\n%s", err, out)
	}
}

// TestOpenSSLHold has openssl look at a certificate while it is on hold, after the
// release, and when it is revoked after another hold.
func TestOpenSSLHold(t *testing.T) {
	v := revocationtest.New(t, 1)
	p, server := newPlace(t, v), serve(t, v)
	g := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
	issuer, serial := v.CA.Issuer.ID, v.Issue()
	p.write(t, "meter.pem", pemOf(certificate(t, v, serial, "http://status.example/crl/issuer/0.crl")))
	status := []string{"ocsp", "-issuer", "issuer.pem", "-CAfile", "chain.pem", "-url", server.URL + "/ocsp/issuer", "-cert", "meter.pem"}
	list := []string{"crl", "-inform", "DER", "-in", "list.crl", "-CAfile", "chain.pem", "-noout", "-text"}
	revoke := func(reason pki.Reason) error { _, err := v.Revoke(t.Context(), g, issuer, serial, reason); return err }
	for _, step := range []struct {
		act        func() error
		ocsp, list string // what openssl calls the reason; "" is good
	}{
		{func() error { return revoke(pki.CertificateHold) }, "Reason: certificateHold", "Certificate Hold"},
		{func() error { _, err := v.Release(t.Context(), g, issuer, serial); return err }, "", ""},
		{func() error { return revoke(pki.CertificateHold) }, "Reason: certificateHold", "Certificate Hold"},
		{func() error { return revoke(pki.Superseded) }, "Reason: superseded", "Superseded"},
	} {
		if err := step.act(); err != nil {
			t.Fatal(err)
		}
		if _, err := v.PublishDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, crl := do(t, server, http.MethodGet, "/crl/issuer/0.crl", nil, nil)
		p.write(t, "list.crl", crl)
		verify := []string{"verify", "-x509_strict", "-crl_check", "-CAfile", "chain.pem", "-CRLfile", "list.pem", "meter.pem"}
		p.expect(t, nil, "crl", "-inform", "DER", "-in", "list.crl", "-out", "list.pem")
		number := strings.ToUpper(serial.String())
		if step.ocsp == "" {
			p.expect(t, []string{"Response verify OK", "meter.pem: good"}, status...)
			p.expect(t, []string{"meter.pem: OK"}, verify...)
			if out, err := p.openssl(t, list...); err != nil || strings.Contains(out, number) {
				t.Errorf("after the release the CRL shows %s: %v\n%s", number, err, out)
			}
			continue
		}
		p.expect(t, []string{"Response verify OK", "meter.pem: revoked", step.ocsp}, status...)
		p.expect(t, []string{"verify OK", "Serial Number: " + number, step.list}, list...)
		if out, err := p.openssl(t, verify...); err == nil || !strings.Contains(out, "certificate revoked") {
			t.Errorf("openssl verify with reason %s: %v\n%s", step.list, err, out)
		}
	}
}

// certificate makes a certificate of the CA with the given serial and CRL
// distribution point.
func certificate(t *testing.T, v *revocationtest.VA, serial pki.Serial, crl string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial.Bytes()), Subject: pkix.Name{CommonName: "meter"},
		NotBefore: v.Clock.Now(), NotAfter: v.Clock.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, CRLDistributionPoints: []string{crl},
	}, v.CA.Certificate, key.Public(), v.CA.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestOpenSSLCA(t *testing.T) {
	v := revocationtest.New(t, 1)
	p, server := newPlace(t, v), serve(t, v)
	for _, form := range []string{"cer", "pem", "p7c"} {
		_, body := do(t, server, http.MethodGet, "/ca/issuer."+form, nil, nil)
		p.write(t, "ca."+form, body)
	}
	p.expect(t, []string{"CN = issuer"}, "x509", "-inform", "DER", "-in", "ca.cer", "-noout", "-subject")
	p.expect(t, []string{"ca.pem: OK"}, "verify", "-x509_strict", "-CAfile", "ca.pem", "ca.pem")
	p.expect(t, []string{"CN = issuer", "CN = root"}, "pkcs7", "-inform", "DER", "-in", "ca.p7c", "-print_certs", "-noout")
}

// TestOpenSSLDelta verifies certificates against a full CRL and the delta to it:
// what was revoked since is refused, what was released since is taken.
func TestOpenSSLDelta(t *testing.T) {
	v := revocationtest.New(t, 1)
	v.CA.Issuer.Deltas = true
	p, server := newPlace(t, v), serve(t, v)
	g := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
	held, later := v.Issue(), v.Issue()
	if _, err := v.Revoke(t.Context(), g, v.CA.Issuer.ID, held, pki.CertificateHold); err != nil {
		t.Fatal(err)
	}
	fetch := func(name string) {
		t.Helper()
		if _, err := v.PublishDue(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, crl := do(t, server, http.MethodGet, "/crl/issuer/"+name+".crl", nil, nil)
		p.write(t, name+".crl", crl)
		p.expect(t, []string{"verify OK", "X509v3 Issuing Distribution Point: critical"},
			"crl", "-inform", "DER", "-in", name+".crl", "-CAfile", "chain.pem", "-noout", "-text")
		p.expect(t, nil, "crl", "-inform", "DER", "-in", name+".crl", "-out", name+".pem")
	}
	fetch("0")
	if _, err := v.Release(t.Context(), g, v.CA.Issuer.ID, held); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Revoke(t.Context(), g, v.CA.Issuer.ID, later, pki.Superseded); err != nil {
		t.Fatal(err)
	}
	fetch("0-delta")
	p.expect(t, []string{"X509v3 Delta CRL Indicator: critical", "Remove From CRL"}, "crl", "-inform", "DER", "-in", "0-delta.crl", "-noout", "-text")
	p.expect(t, []string{"X509v3 Freshest CRL"}, "crl", "-inform", "DER", "-in", "0.crl", "-noout", "-text")

	full := []string{"verify", "-x509_strict", "-crl_check", "-CAfile", "chain.pem", "-CRLfile", "0.pem"}
	both := with(full, "-use_deltas", "-extended_crl", "-CRLfile", "0-delta.pem")
	for _, c := range []struct {
		name         string
		serial       pki.Serial
		inFull, both bool // whether it is revoked
	}{
		{"good", p.good, false, false},
		{"revoked", p.revoked, true, true},
		{"later", later, false, true},
		{"held", held, true, false},
	} {
		p.write(t, c.name+".pem", pemOf(certificate(t, v, c.serial, "http://status.example/crl/issuer/0.crl")))
		for _, way := range []struct {
			args    []string
			revoked bool
		}{{full, c.inFull}, {both, c.both}} {
			out, err := p.openssl(t, with(way.args, c.name+".pem")...)
			if (err != nil) != way.revoked || way.revoked && !strings.Contains(out, "certificate revoked") {
				t.Errorf("%s: openssl %s: %v\n%s", c.name, strings.Join(way.args, " "), err, out)
			}
		}
	}
}
