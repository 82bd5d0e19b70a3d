//go:build system

package enroll_test

import (
	"context"
	"crypto"
	"encoding/pem"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// TestPSSOpenSSL has OpenSSL verify what a hierarchy signs by RSA PSS: certificate and
// chain, both CRLs, and an OCSP response of a responder that signs by PSS too.
func TestPSSOpenSSL(t *testing.T) {
	h := newHouse(t, "meter")
	root, _, authority := hierarchyOf(t, h, "pss", pki.RSA3072PSS, pki.RSA2048PSS, pki.P256)
	publish(t, h, policy.ResponderProfile, policy.ResponderProfile, pki.RSA2048PSS)
	install(t, h, root)(h.Hierarchy.CRLRequest(t.Context(), h.grant(access.ManageAuthorities), "pq-root", "", 0))
	var devices [2]*pki.Enrollment
	for i, name := range []string{"RNI-1", "RNI-2"} {
		devices[i], _ = h.get(h.request("acme.pss", meterCSR(t, name)))
	}
	issuer := authority.Issuers[0].ID
	if _, err := h.Revocation.Revoke(t.Context(), h.grant(access.Revoke), issuer, devices[1].Certificate.Serial, pki.KeyCompromise); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Revocation.PublishDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	chain, err := h.Hierarchy.Chain(t.Context(), issuer)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var lists []byte
	view, err := h.Hierarchy.Authority(t.Context(), h.grant(access.ReadConfiguration), "pq-root")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []pki.IssuerID{view.Issuers[0].ID, issuer} {
		crl, err := h.Revocation.CRL(t.Context(), revocation.List{Issuer: id})
		if err != nil {
			t.Fatal(err)
		}
		lists = append(lists, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl.DER})...)
	}
	write("lists.pem", lists)
	write("root.pem", pandotest.PEM(chain[1]))
	write("issuing.pem", pandotest.PEM(chain[0]))
	write("good.pem", pandotest.PEM(devices[0].Certificate.DER))
	write("revoked.pem", pandotest.PEM(devices[1].Certificate.DER))
	openssl := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, file := range []string{"root.pem", "issuing.pem", "good.pem"} {
		if text, err := openssl("x509", "-in", file, "-noout", "-text"); err != nil || strings.Count(text, "Signature Algorithm: rsassaPss") != 2 {
			t.Errorf("%s: %v: %s", file, err, text)
		}
	}
	path := []string{"verify", "-x509_strict", "-crl_check_all", "-CRLfile", "lists.pem", "-CAfile", "root.pem", "-untrusted", "issuing.pem"}
	if text, err := openssl(append(path, "good.pem")...); err != nil {
		t.Errorf("%v: %s", err, text)
	}
	if text, err := openssl(append(path, "revoked.pem")...); err == nil || !strings.Contains(text, "certificate revoked") {
		t.Errorf("%v: %s", err, text)
	}

	va := revocation.New(revocation.Config{
		Store: h.Store, Signer: h.Signer, Issuers: h.Store, Responders: &pssResponder{h: h}, LintCRL: policy.LintCRL, Alarms: h.Alarms, Now: h.Now, Log: slog.New(slog.DiscardHandler),
	})
	above := parsed(t, chain[0])
	for i, want := range []string{"good.pem: good", "revoked.pem: revoked"} {
		id := tbs.AppendCertID(nil, crypto.SHA1, above, devices[i].Certificate.Serial)
		answer, err := va.Respond(t.Context(), issuer, tbs.AppendOCSPRequest(nil, [][]byte{id}, nil))
		if err != nil {
			t.Fatal(err)
		}
		read, err := tbs.ParseOCSPResponse(answer.DER)
		if err != nil {
			t.Fatal(err)
		}
		by, err := read.Verify(above, h.Now())
		if err != nil || by.Key.Kind() != pki.RSA2048 {
			t.Errorf("the answer is verified by %v, %v", by, err)
		}
		write("answer.der", answer.DER)
		file, _, _ := strings.Cut(want, ":")
		text, err := openssl("ocsp", "-respin", "answer.der", "-no_nonce", "-issuer", "issuing.pem", "-cert", file, "-CAfile", "root.pem", "-verify_other", "issuing.pem", "-resp_text")
		if err != nil || !strings.Contains(text, "Response verify OK") || !strings.Contains(text, want) || !strings.Contains(text, "Signature Algorithm: rsassaPss") {
			t.Errorf("%v: %s", err, text)
		}
	}
}

// A pssResponder enrols one responder, with a key that signs by PSS.
type pssResponder struct {
	h    *house
	once sync.Once
	key  pki.KeyURI
	got  *pki.Enrollment
	err  error
}

// Responder implements revocation.Responders.
func (r *pssResponder) Responder(ctx context.Context, issuer pki.IssuerID) ([]byte, pki.KeyURI, time.Time, error) {
	r.once.Do(func() { r.err = r.enroll(ctx, issuer) })
	if r.err != nil {
		return nil, "", time.Time{}, r.err
	}
	certificate, err := tbs.ParseCertificate(r.got.Certificate.DER)
	if err != nil {
		return nil, "", time.Time{}, err
	}
	return certificate.Raw, r.key, certificate.NotAfter, nil
}

func (r *pssResponder) enroll(ctx context.Context, issuer pki.IssuerID) (err error) {
	if r.key, err = r.h.Signer.Generate(ctx, "software", "acme", pki.RSA2048PSS, keystore.UseOCSP); err != nil {
		return err
	}
	public, _, err := r.h.Signer.Public(ctx, r.key)
	if err != nil {
		return err
	}
	info := tbs.AppendCSR(nil, []byte{0x30, 0}, public, nil)
	signature, err := r.h.Signer.Sign(ctx, r.key, signer.Request, info, true)
	if err != nil {
		return err
	}
	g, err := access.System("acme", "server").Authorize(access.Enroll, "acme")
	if err != nil {
		return err
	}
	r.got, err = r.h.Enroll.Own(ctx, g, issuer, policy.ResponderProfile, tbs.AppendSigned(nil, info, public.SignatureAlgorithm(), signature))
	return err
}
