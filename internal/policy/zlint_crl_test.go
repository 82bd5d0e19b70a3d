package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// crlOf returns a TBSCertList with the entries, for a key of the kind.
func crlOf(t testing.TB, kind pki.KeyKind, edit func(*tbs.CRLInfo), entries ...tbs.CRLEntry) ([]byte, tbs.SignatureAlgorithm) {
	t.Helper()
	key, err := keystore.NewPrivateKey(kind)
	if err != nil {
		t.Fatal(err)
	}
	public, err := tbs.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	name, err := tbs.Name{{OID: "2.5.4.3", Value: "Issuing CA"}}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	info := &tbs.CRLInfo{
		Issuer: name, IssuerKeyID: public.KeyID(), Algorithm: public.SignatureAlgorithm(), Number: 7,
		ThisUpdate: at, NextUpdate: at.Add(24 * time.Hour), URL: "http://pki.example.com/crl/1/0.crl",
	}
	if edit != nil {
		edit(info)
	}
	var encoded []byte
	for i := range entries {
		if encoded, err = entries[i].Append(encoded); err != nil {
			t.Fatal(err)
		}
	}
	list, err := tbs.NewCertList(info, len(encoded))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(list.Begin(), encoded, list.End()), info.Algorithm
}

func TestLintCRL(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	entry := func(n byte, at time.Time, reason pki.Reason) tbs.CRLEntry {
		return tbs.CRLEntry{Serial: pki.Serial{byte(pki.SerialShort), n}, At: at, Reason: reason}
	}
	soon := entry(2, at.Add(4*time.Minute), pki.CertificateHold) // thisUpdate is set back
	for _, kind := range []pki.KeyKind{pki.P256, pki.RSA2048PSS, pki.MLDSA65} {
		for name, edit := range map[string]func(*tbs.CRLInfo){
			"full":     nil,
			"delta":    func(i *tbs.CRLInfo) { i.Base = 3 },
			"freshest": func(i *tbs.CRLInfo) { i.Freshest = "http://pki.example.com/crl/1/0-delta.crl" },
			"no scope": func(i *tbs.CRLInfo) { i.URL = "" },
		} {
			for _, entries := range [][]tbs.CRLEntry{nil, {entry(1, at, pki.KeyCompromise), soon, entry(3, at, pki.Unspecified), entry(4, at, pki.RemoveFromCRL)}} {
				message, alg := crlOf(t, kind, edit, entries...)
				if err := policy.LintCRL(message, alg); err != nil {
					t.Errorf("%s, %s, %d entries: %v", kind, name, len(entries), err)
				}
			}
		}
	}
	for rule, entries := range map[string][]tbs.CRLEntry{
		"e_crl_unique_revoked_certificate": {entry(1, at, pki.Superseded), entry(1, at, pki.KeyCompromise)},
		"e_crl_revocation_date_too_early":  {entry(1, time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), pki.Superseded)},
	} {
		message, alg := crlOf(t, pki.P256, nil, entries...)
		if err := policy.LintCRL(message, alg); err == nil || !strings.Contains(err.Error(), rule) {
			t.Errorf("%v, want a finding of %s", err, rule)
		}
	}
	if err := policy.LintCRL([]byte{0x30, 0}, tbs.SignatureAlgorithm{}); err == nil {
		t.Error("it takes what is no CRL")
	}
}

func BenchmarkLintCRL(b *testing.B) {
	message, alg := crlOf(b, pki.P256, nil, tbs.CRLEntry{Serial: pki.Serial{1}, At: time.Now(), Reason: pki.KeyCompromise})
	b.ReportAllocs()
	for b.Loop() {
		if err := policy.LintCRL(message, alg); err != nil {
			b.Fatal(err)
		}
	}
}
