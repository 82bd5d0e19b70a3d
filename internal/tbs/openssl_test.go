//go:build system

package tbs

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// openssl runs openssl and returns what it printed on both streams.
func openssl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// file writes b into a new file and returns its path.
func file(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pemFile writes der as PEM of the given type.
func pemFile(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	return file(t, name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// TestOpenSSLVerify checks certificates by -x509_strict for each kind of key.
func TestOpenSSLVerify(t *testing.T) {
	for _, kind := range allKinds {
		ca, device := newCA(t, kind, caParts()...)
		out := openssl(t, "verify", "-x509_strict", "-CAfile", pemFile(t, "ca.pem", "CERTIFICATE", ca), pemFile(t, "cert.pem", "CERTIFICATE", device))
		if !strings.Contains(out, ": OK") {
			t.Errorf("%s: %s", kind, out)
		}
	}
}

// TestOpenSSLRequest reads a request that openssl made, with a challenge password,
// and lets openssl verify ours.
func TestOpenSSLRequest(t *testing.T) {
	dir := t.TempDir()
	conf := file(t, "req.cnf", []byte(`[req]
prompt = no
distinguished_name = dn
attributes = attrs
req_extensions = exts
[dn]
O = Meters
serialNumber = METER-0001
[attrs]
challengePassword = once only
unstructuredName = a name
[exts]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
subjectAltName = DNS:meter.example, IP:192.0.2.1, URI:urn:device:1, otherName:1.3.6.1.5.5.7.8.4;SEQUENCE:hw
[hw]
type = OID:1.3.6.1.4.1.32473.1.1
serial = FORMAT:ASCII,OCTETSTRING:METER-0001
`))
	for _, algorithm := range []string{"ec:P-256", "ec:P-521", "rsa:2048", "ed25519"} {
		args := []string{"req", "-new", "-nodes", "-config", conf, "-outform", "DER", "-keyout", filepath.Join(dir, "key.pem"), "-out", filepath.Join(dir, "req.der")}
		if name, curve, ok := strings.Cut(algorithm, ":"); ok && name == "ec" {
			args = append(args, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:"+curve)
		} else {
			args = append(args, "-newkey", algorithm)
		}
		openssl(t, args...)
		c, err := ParseCSR(must(t)(os.ReadFile(filepath.Join(dir, "req.der"))))
		if err != nil {
			t.Errorf("%s: %v", algorithm, err)
			continue
		}
		if err := c.CheckProof(); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
		hardware := GeneralName{Kind: HardwareModuleName, HWType: "1.3.6.1.4.1.32473.1.1", HWSerial: []byte("METER-0001")}
		if c.Subject.Get(der.OIDSerialNumber) != "METER-0001" || len(c.Names) != 4 || len(c.Extensions) != 3 ||
			c.Names[3].HWType != hardware.HWType || !bytes.Equal(c.Names[3].HWSerial, hardware.HWSerial) {
			t.Errorf("%s: subject %s, names %v", algorithm, c.Subject, c.Names)
		}
	}
	for _, kind := range allKinds {
		signer := newSigner(t, kind)
		key := publicKey(t, signer)
		info := AppendCSR(nil, must(t)(issuerName.Append(nil)), key, nil)
		signed := AppendSigned(nil, info, key.SignatureAlgorithm(), must(t)(Sign(signer, key.SignatureAlgorithm(), info)))
		openssl(t, "req", "-verify", "-noout", "-inform", "DER", "-in", file(t, "req.der", signed))
	}
}

// TestOpenSSLCRL lets openssl read and verify a CRL.
func TestOpenSSLCRL(t *testing.T) {
	signer := newSigner(t, pki.P256)
	key := publicKey(t, signer)
	tmpl, err := NewTemplate(TemplateConfig{IssuerName: must(t)(issuerName.Append(nil)), Algorithm: key.SignatureAlgorithm(), Parts: caParts()})
	if err != nil {
		t.Fatal(err)
	}
	c := deviceContent(t, key)
	c.Subject, c.KeyUsage = must(t)(issuerName.Append(nil)), KeyCertSign|CRLSign
	tbs := must(t)(tmpl.Append(nil, c))
	ca := AppendSigned(nil, tbs, key.SignatureAlgorithm(), must(t)(Sign(signer, key.SignatureAlgorithm(), tbs)))
	info := newCRLInfo(t, signer)
	for _, n := range []int{0, 100} {
		list := writeCertList(t, info, crlEntries(n))
		crl := AppendSigned(nil, list, info.Algorithm, must(t)(Sign(signer, info.Algorithm, list)))
		out := openssl(t, "crl", "-inform", "DER", "-in", file(t, "crl.der", crl), "-noout", "-text",
			"-CAfile", pemFile(t, "ca.pem", "CERTIFICATE", ca))
		for _, want := range []string{"verify OK", "X509v3 Issuing Distribution Point: critical", info.URL, "X509v3 CRL Number"} {
			if !strings.Contains(out, want) {
				t.Errorf("%d entries: no %q in\n%s", n, want, out)
			}
		}
		if got := strings.Count(out, "Serial Number: "); got != n {
			t.Errorf("%d entries, want %d", got, n)
		}
	}
}

// TestOpenSSLOCSP reads a request that openssl made, with its nonce and by either
// hash, and lets openssl verify the answer to it.
func TestOpenSSLOCSP(t *testing.T) {
	dir := t.TempDir()
	responder := newResponder(t)
	issuer := pemFile(t, "issuer.pem", "CERTIFICATE", responder.issuer.Raw)
	for _, hash := range []string{"-sha1", "-sha256"} {
		path := filepath.Join(dir, "req.der")
		openssl(t, "ocsp", "-issuer", issuer, hash, "-cert", pemFile(t, "cert.pem", "CERTIFICATE", responder.cert.Raw), hash, "-serial", "0x4142", "-reqout", path)
		r, err := ParseOCSPRequest(must(t)(os.ReadFile(path)))
		if err != nil {
			t.Fatal(err)
		}
		if len(r.IDs) != 2 || len(r.Nonce) == 0 {
			t.Fatalf("%d certificates, nonce %x", len(r.IDs), r.Nonce)
		}
		answers := ocspAnswers()[:2]
		for i := range answers {
			answers[i].ID = r.IDs[i].Raw
		}
		response := responder.respond(t, answers, r.Nonce)
		out := openssl(t, "ocsp", "-respin", file(t, "resp.der", response), "-CAfile", issuer, "-resp_text")
		for _, want := range []string{"Response verify OK", "Cert Status: good", "Cert Status: revoked", "keyCompromise", "OCSP Nonce"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", hash, want, out)
			}
		}
	}
}
