//go:build system

package tbs

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// TestNoble has @noble/post-quantum, an implementation in another language by other
// people, verify a request, a certificate, a CRL and an OCSP response of each
// post-quantum kind, and refuse each with one bit changed. crypto/x509 cuts the first
// three into message and signature.
func TestNoble(t *testing.T) {
	type check struct {
		Kind      pki.KeyKind `json:"kind"`
		Key       string      `json:"key"`
		Message   string      `json:"message"`
		Signature string      `json:"signature"`
	}
	var checks []check
	for _, kind := range postQuantum {
		add := func(key PublicKey, message, signature []byte) {
			raw := hex.EncodeToString(key.SPKI()[len(key.SPKI())-sizes[kind][0]:])
			spoilt := bytes.Clone(message)
			spoilt[len(spoilt)/2] ^= 1
			checks = append(checks,
				check{kind, raw, hex.EncodeToString(message), hex.EncodeToString(signature)},
				check{kind, raw, hex.EncodeToString(spoilt), hex.EncodeToString(signature)})
		}
		signer := newSigner(t, kind)
		key := publicKey(t, signer)
		alg := key.SignatureAlgorithm()
		sign := func(message []byte) []byte {
			return AppendSigned(nil, message, alg, must(t)(Sign(signer, alg, message)))
		}

		request, err := x509.ParseCertificateRequest(sign(AppendCSR(nil, must(t)(Name{{OID: der.OIDCommonName, Value: "device"}}.Append(nil)), key, nil)))
		if err != nil {
			t.Fatal(err)
		}
		add(key, request.RawTBSCertificateRequest, request.Signature)

		content := deviceContent(t, key)
		content.KeyUsage = DigitalSignature
		certificate, err := x509.ParseCertificate(sign(must(t)(deviceTemplate(t, alg, key.KeyID()).Append(nil, content))))
		if err != nil {
			t.Fatal(err)
		}
		add(key, certificate.RawTBSCertificate, certificate.Signature)

		list, err := NewCertList(&CRLInfo{
			Issuer: must(t)(issuerName.Append(nil)), IssuerKeyID: key.KeyID(), Algorithm: alg,
			Number: 1, ThisUpdate: time.Unix(1767225600, 0), NextUpdate: time.Unix(1767312000, 0),
		}, 0)
		if err != nil {
			t.Fatal(err)
		}
		crl, err := x509.ParseRevocationList(sign(append(list.Begin(), list.End()...)))
		if err != nil {
			t.Fatal(err)
		}
		add(key, crl.RawTBSRevocationList, crl.Signature)

		r := newPostQuantumResponder(t, kind)
		response, err := ParseOCSPResponse(r.respond(t, ocspAnswers(), nil))
		if err != nil {
			t.Fatal(err)
		}
		add(r.key, response.data, response.signature)
	}

	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/noble")); err != nil {
		t.Fatal(err)
	}
	install := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	var in bytes.Buffer
	for _, c := range checks {
		if err := json.NewEncoder(&in).Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	node := exec.CommandContext(t.Context(), "node", "verify.mjs")
	node.Dir, node.Stdin = dir, &in
	out, err := node.CombinedOutput()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, out)
	}
	answers := strings.Fields(string(out))
	if len(answers) != len(checks) {
		t.Fatalf("%d answers to %d questions: %s", len(answers), len(checks), out)
	}
	for i, answer := range answers {
		if want := map[bool]string{true: "true", false: "false"}[i%2 == 0]; answer != want {
			t.Errorf("%s, structure %d: %s, want %s", checks[i].Kind, i/2%4, answer, want)
		}
	}
}
