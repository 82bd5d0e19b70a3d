package revocation

import (
	"bytes"
	"crypto"
	"slices"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// TestLintOCSP has what is about to be signed differ from what was asked, or from what
// RFC 6960 allows, in one thing at a time.
func TestLintOCSP(t *testing.T) {
	key, err := keystore.NewPrivateKey(pki.P256)
	if err != nil {
		t.Fatal(err)
	}
	public, err := tbs.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	name, err := tbs.Name{{OID: "2.5.4.3", Value: "CA"}}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type answer struct {
		keyID   []byte
		at      time.Time
		singles []tbs.OCSPSingle
		nonce   []byte
	}
	made := func() *answer {
		a := &answer{keyID: public.KeyID(), at: now, nonce: []byte("nonce")}
		for i, status := range []tbs.OCSPStatus{tbs.OCSPGood, tbs.OCSPRevoked, tbs.OCSPRevoked, tbs.OCSPUnknown} {
			a.singles = append(a.singles, tbs.OCSPSingle{
				ID: tbs.AppendCertID(nil, crypto.SHA256, &tbs.Parsed{Subject: name, Key: public}, pki.Serial{1, byte(i)}), Status: status,
				ThisUpdate: now.Add(-Backdate), NextUpdate: now.Add(time.Hour), RevokedAt: now.Add(-time.Minute), Reason: [...]pki.Reason{0, pki.KeyCompromise, pki.Unspecified, 0}[i],
			})
		}
		return a
	}
	lint := func(signed, asked *answer, ends time.Time) error {
		data := tbs.AppendResponseData(nil, signed.keyID, signed.at, signed.singles, signed.nonce)
		r := &Response{by: &responder{keyID: asked.keyID, notAfter: ends}, NextUpdate: now.Add(time.Hour)}
		return lintOCSP(data, r, asked.singles, asked.nonce)
	}
	later := now.Add(24 * time.Hour)
	if err := lint(made(), made(), later); err != nil {
		t.Fatal(err)
	}
	without := made()
	without.nonce = nil
	if err := lint(without, without, later); err != nil {
		t.Fatal(err)
	}
	if lint(made(), made(), now) == nil {
		t.Error("it outlives the responder, and is taken")
	}
	for what, edit := range map[string]func(*answer){
		"another responder":      func(a *answer) { a.keyID = bytes.Repeat([]byte{1}, 20) },
		"one answer less":        func(a *answer) { a.singles = a.singles[1:] },
		"one answer more":        func(a *answer) { a.singles = append(a.singles, a.singles[0]) },
		"another order":          func(a *answer) { slices.Reverse(a.singles) },
		"another status":         func(a *answer) { a.singles[0].Status = tbs.OCSPUnknown },
		"good for revoked":       func(a *answer) { a.singles[1].Status = tbs.OCSPGood },
		"revoked for good":       func(a *answer) { a.singles[0].Status = tbs.OCSPRevoked },
		"another reason":         func(a *answer) { a.singles[1].Reason = pki.Superseded },
		"no nextUpdate":          func(a *answer) { a.singles[0].NextUpdate = time.Time{} },
		"an empty span":          func(a *answer) { a.singles[3].NextUpdate = a.singles[3].ThisUpdate },
		"thisUpdate to come":     func(a *answer) { a.singles[0].ThisUpdate = now.Add(time.Second) },
		"a revocation to come":   func(a *answer) { a.singles[1].RevokedAt = now.Add(time.Second) },
		"another nonce":          func(a *answer) { a.nonce = []byte("other") },
		"no nonce":               func(a *answer) { a.nonce = nil },
		"produced before update": func(a *answer) { a.at = now.Add(-time.Hour) },
	} {
		signed := made()
		edit(signed)
		if lint(signed, made(), later) == nil {
			t.Errorf("%s: it is taken", what)
		}
	}
	if lint(made(), without, later) == nil {
		t.Error("a nonce that nobody asked for is taken")
	}
	released := made()
	released.singles[1].Reason = pki.RemoveFromCRL
	if lint(released, released, later) == nil {
		t.Error("a release as a reason of a revocation is taken")
	}
}
