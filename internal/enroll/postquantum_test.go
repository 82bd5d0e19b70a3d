package enroll_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/check"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/tbs"
)

// forged has the certificates of issuers end in another octet, as of a signature that
// does not verify.
type forged struct{ check.Store }

func (f forged) AllIssuers(ctx context.Context) ([]*pki.Issuer, error) {
	all, err := f.Store.AllIssuers(ctx)
	for _, i := range all {
		i.Certificate = bytes.Clone(i.Certificate)
		i.Certificate[len(i.Certificate)-1] ^= 1
	}
	return all, err
}

// checkChains has pando check look at the chains, as they are and forged.
func checkChains(t *testing.T, h *house) {
	t.Helper()
	for _, store := range []check.Store{h.Store, forged{h.Store}} {
		report, err := check.Run(t.Context(), check.Config{Store: store, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, f := range report.Findings {
			if f.Invariant == check.Chain && strings.HasPrefix(f.Subject, "issuer ") {
				t.Logf("%s: %s", f.Subject, f.Detail)
				found++
			}
		}
		if _, isForged := store.(forged); isForged && found != int(report.Issuers) || !isForged && found != 0 {
			t.Errorf("%d of %d chains are wrong", found, report.Issuers)
		}
	}
}

// TestPostQuantum has hierarchies of mixed algorithms, from the root's ceremony to a
// device's certificate, the CRL that its revocation makes and the root's own.
func TestPostQuantum(t *testing.T) {
	for name, kinds := range map[string]struct{ root, issuing, device pki.KeyKind }{
		"ML-DSA over ECDSA":   {pki.MLDSA87, pki.P256, pki.MLDSA44},
		"ECDSA over ML-DSA":   {pki.P384, pki.MLDSA65, pki.P256},
		"SLH-DSA over ML-DSA": {pki.SLHDSA, pki.MLDSA44, pki.MLDSA65},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "meter")
			root, _, authority := hierarchyOf(t, h, "pq", kinds.root, kinds.issuing, kinds.device)

			r := h.request("acme.pq", postQuantumCSR(t, kinds.device))
			r.Device = "RNI-1"
			got, err := h.Enroll.Enroll(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			device, issuing := parsed(t, got.Certificate.DER), parsed(t, got.Chain[0])
			if device.Key.Kind() != kinds.device || issuing.Key.Kind() != kinds.issuing {
				t.Errorf("keys of kind %s under %s", device.Key.Kind(), issuing.Key.Kind())
			}
			if err := device.CheckSignedBy(issuing); err != nil {
				t.Error(err)
			}
			chain, err := h.Hierarchy.Chain(t.Context(), got.Certificate.Issuer)
			if err != nil {
				t.Fatal(err)
			}
			if err := issuing.CheckSignedBy(parsed(t, chain[1])); err != nil {
				t.Error(err)
			}
			stored, err := h.Enroll.Certificate(t.Context(), h.grant(access.ReadCertificates), got.Certificate.Issuer, got.Certificate.Serial)
			if err != nil || string(stored.DER) != string(got.Certificate.DER) {
				t.Errorf("the store has another, %v", err)
			}

			if _, err := h.Revocation.Revoke(t.Context(), h.grant(access.Revoke), got.Certificate.Issuer, got.Certificate.Serial, pki.KeyCompromise); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Revocation.PublishDue(t.Context()); err != nil {
				t.Fatal(err)
			}
			list := revocation.List{Issuer: authority.Issuers[0].ID}
			crl, err := h.Revocation.CRL(t.Context(), list)
			if err != nil {
				t.Fatal(err)
			}
			read, err := h.Revocation.Verify(t.Context(), list, crl.DER)
			if err != nil {
				t.Fatal(err)
			}
			for entry, err := range read.Entries() {
				if err != nil || entry.Serial != got.Certificate.Serial {
					t.Errorf("the CRL has %s, %v", entry.Serial, err)
				}
			}
			if crl.Entries != 1 {
				t.Errorf("the CRL has %d entries", crl.Entries)
			}
			checkChains(t, h)
			install(t, h, root)(h.Hierarchy.CRLRequest(t.Context(), h.grant(access.ManageAuthorities), "pq-root", "", 0))
			t.Logf("a certificate of %d bytes, a CRL of %d", len(got.Certificate.DER), len(crl.DER))
		})
	}
}

// hierarchyOf makes a root, and an authority and an endpoint of the given name, for keys
// of the given kinds. It returns the root's sealed file and what the authority asked for.
func hierarchyOf(t *testing.T, h *house, name string, root, issuing, device pki.KeyKind) (sealed string, request *ceremony.Request, authority *hierarchy.View) {
	t.Helper()
	sealed = postQuantumRoot(t, h, root)
	publish(t, h, "issuing-ca", "pq-ca", issuing)
	publish(t, h, "rni-command", "pq-device", device)
	g := h.grant(access.ManageAuthorities)
	_, err := h.Hierarchy.CreateAuthority(t.Context(), g, hierarchy.NewAuthority{
		Name: name, CommonName: "Example", Kind: pki.Issuing, Parent: "pq-root", Profile: "pq-ca", StatusURL: stack.StatusURL,
	})
	if err != nil {
		t.Fatal(err)
	}
	request, err = h.Hierarchy.Request(t.Context(), g, name)
	authority = install(t, h, sealed)(request, err)
	_, err = h.Enroll.CreateEndpoint(t.Context(), h.grant(access.ManageEndpoints), enroll.NewEndpoint{Name: name, Authority: name, Profile: "pq-device"})
	if err != nil {
		t.Fatal(err)
	}
	return sealed, request, authority
}

// install has the root sign what is asked for, and installs the answer.
func install(t *testing.T, h *house, sealed string) func(*ceremony.Request, error) *hierarchy.View {
	return func(request *ceremony.Request, err error) *hierarchy.View {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		answer, err := ceremony.Sign(t.Context(), ceremony.SignConfig{Sealed: sealed, Passphrase: pki.NewSecret("correct horse"), Request: request, Now: h.Now})
		if err != nil {
			t.Fatal(err)
		}
		view, err := h.Hierarchy.Install(t.Context(), h.grant(access.ManageAuthorities), answer)
		if err != nil {
			t.Fatal(err)
		}
		return view
	}
}

// postQuantumRoot makes a root "pq-root" of the kind and returns its sealed file.
func postQuantumRoot(t *testing.T, h *house, kind pki.KeyKind) string {
	t.Helper()
	sealed := filepath.Join(t.TempDir(), "pq.sealed")
	certificate, err := ceremony.NewRoot(t.Context(), ceremony.RootConfig{
		Mode: pki.Test, CommonName: "Post-quantum Root", Organization: "Example", Profile: []byte(allowing(t, "root", "root", kind)),
		Passphrase: pki.NewSecret("correct horse"), WorkFactor: 10, Sealed: sealed, Now: h.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Hierarchy.ImportRoot(t.Context(), h.grant(access.ManageAuthorities),
		hierarchy.NewRoot{Name: "pq-root", Mode: pki.Test, StatusURL: stack.StatusURL, Certificate: certificate})
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// allowing returns a reference profile under another name and for another kind of key.
func allowing(t *testing.T, reference, name string, kind pki.KeyKind) string {
	t.Helper()
	source, err := packs.Document(reference)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(source), "profile: "+reference, "profile: "+name, 1)
	begin := strings.Index(text, "allow: [") + len("allow: [")
	end := begin + strings.Index(text[begin:], "]")
	text = text[:begin] + string(kind) + text[end:]
	return strings.Replace(text, "keyUsage: {use: [digitalSignature, keyAgreement]}", "keyUsage: {use: [digitalSignature]}", 1)
}

func publish(t *testing.T, h *house, reference, name string, kind pki.KeyKind) {
	t.Helper()
	if _, err := h.Hierarchy.PublishProfile(t.Context(), h.grant(access.ManageProfiles), []byte(allowing(t, reference, name, kind))); err != nil {
		t.Fatal(err)
	}
}

func parsed(t *testing.T, certificate []byte) *tbs.Parsed {
	t.Helper()
	p, err := tbs.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// postQuantumCSR makes a request of a kind that crypto/x509 may not know.
func postQuantumCSR(t *testing.T, kind pki.KeyKind) []byte {
	t.Helper()
	key := pandotest.Key(t, kind)
	public, err := tbs.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	subject, err := tbs.Name{{OID: der.OIDSerialNumber, Type: tbs.PrintableString, Value: "RNI-1"}}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	info := tbs.AppendCSR(nil, subject, public, nil)
	signature, err := tbs.Sign(key, public.SignatureAlgorithm(), info)
	if err != nil {
		t.Fatal(err)
	}
	return tbs.AppendSigned(nil, info, public.SignatureAlgorithm(), signature)
}
