package revocation_test

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

// ceremonyCRL makes a CRL of ca's as a ceremony would, with x509.
func ceremonyCRL(t testing.TB, ca revocationtest.CA, list x509.RevocationList) []byte {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &list, ca.Certificate, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func scope(t testing.TB, url string) pkix.Extension {
	t.Helper()
	type point struct {
		FullName []asn1.RawValue `asn1:"tag:0"`
	}
	value, err := asn1.Marshal(struct {
		Point point `asn1:"tag:0"`
	}{point{[]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(url)}}}})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: value}
}

func TestInstallCRL(t *testing.T) {
	v, other := revocationtest.New(t, 1), revocationtest.New(t, 1)
	now := v.Clock.Now()
	revoked := pki.NewSerial(pki.SerialLong, now)
	v.Store.AddCertificate(v.Root.Issuer, revoked, now.AddDate(10, 0, 0))
	grant := revocationtest.Permit(t, revocationtest.Tenant, access.ManageAuthorities)
	list := func(number int64, change func(*x509.RevocationList)) x509.RevocationList {
		l := x509.RevocationList{
			Number: big.NewInt(number), ThisUpdate: now, NextUpdate: now.AddDate(0, 6, 0),
		}
		if change != nil {
			change(&l)
		}
		return l
	}
	with := func(l *x509.RevocationList) {
		l.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: new(big.Int).SetBytes(revoked.Bytes()), RevocationTime: now}}
	}
	extension := func(e pkix.Extension) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.ExtraExtensions = []pkix.Extension{e} }
	}
	forged := ceremonyCRL(t, v.Root, list(9, nil))
	forged[len(forged)-1] ^= 1

	tests := []struct {
		name  string
		grant access.Permit
		crl   []byte
		want  pki.Kind
	}{
		{"no grant", access.Permit{}, ceremonyCRL(t, v.Root, list(9, nil)), pki.Forbidden},
		{"garbage", grant, []byte("-----BEGIN"), pki.Malformed},
		{"stranger", revocationtest.Permit(t, "other", access.ManageAuthorities), ceremonyCRL(t, v.Root, list(9, nil)), pki.NotFound},
		{"online issuer", grant, ceremonyCRL(t, v.CA, list(9, nil)), pki.NotFound},
		{"another root of the same name", grant, ceremonyCRL(t, other.Root, list(9, nil)), pki.NotFound},
		{"broken signature", grant, forged, pki.BadProof},
		{"number 0", grant, ceremonyCRL(t, v.Root, list(0, nil)), pki.Malformed},
		{"number of 64 bits", grant, ceremonyCRL(t, v.Root, list(0, func(l *x509.RevocationList) { l.Number = new(big.Int).Lsh(big.NewInt(1), 63) })), pki.Malformed},
		{"delta", grant, ceremonyCRL(t, v.Root, list(9, extension(pkix.Extension{
			Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1},
		}))), pki.PolicyRefused},
		{"from the future", grant, ceremonyCRL(t, v.Root, list(9, func(l *x509.RevocationList) { l.ThisUpdate = now.Add(time.Hour) })), pki.PolicyRefused},
		{"out of date", grant, ceremonyCRL(t, v.Root, list(9, func(l *x509.RevocationList) {
			l.ThisUpdate, l.NextUpdate = now.Add(-time.Hour), now
		})), pki.PolicyRefused},
		{"a scope", grant, ceremonyCRL(t, v.Root, list(9, extension(scope(t, "http://status.example/crl/root/1.crl")))), pki.PolicyRefused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := v.InstallCRL(t.Context(), tt.grant, tt.crl)
			if err == nil || pki.KindOf(err) != tt.want {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
	if _, err := v.CRL(t.Context(), revocation.List{Issuer: v.Root.Issuer.ID, Shard: 0}); pki.KindOf(err) != pki.NotFound {
		t.Fatalf("a refused CRL is served: %v", err)
	}

	steps := []struct {
		name   string
		crl    x509.RevocationList
		want   pki.Kind // of the error; Internal is none
		covers int64
	}{
		{"the first", list(3, nil), pki.Internal, 0},
		{"the same number", list(3, nil), pki.Conflict, 0},
		{"made before the revocation", list(4, nil), pki.Internal, 0},
		{"with the revoked one", list(5, with), pki.Internal, 1},
		{"that forgets it", list(6, nil), pki.Conflict, 1},
	}
	for i, step := range steps {
		if i == 2 {
			g := revocationtest.Permit(t, revocationtest.Tenant, access.Revoke)
			if _, err := v.Revoke(t.Context(), g, v.Root.Issuer.ID, revoked, pki.CACompromise); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.InstallCRL(t.Context(), grant, ceremonyCRL(t, v.Root, step.crl)); pki.KindOf(err) != step.want || (err == nil) != (step.want == pki.Internal) {
			t.Errorf("%s: %v, want %s", step.name, err, step.want)
		}
		if got, err := v.CRL(t.Context(), revocation.List{Issuer: v.Root.Issuer.ID, Shard: 0}); err != nil || got.Covers != step.covers {
			t.Errorf("%s: the CRL served covers %d, %v; want %d", step.name, got.Covers, err, step.covers)
		}
	}
	if n, err := v.PublishDue(t.Context()); n != 1 || err != nil {
		t.Errorf("%d CRLs, %v; want 1, of the online issuer alone", n, err)
	}

	var got []string
	for _, e := range v.Store.Events() {
		got = append(got, e.Action+": "+e.Detail)
	}
	until := now.AddDate(0, 6, 0).UTC().Format(time.RFC3339)
	want := []string{ // the CRLs that the worker makes are no acts
		"crl.install: shard 0, number 3, 0 entries, next update " + until,
		"certificate.revoke: reason cACompromise",
		"crl.install: shard 0, number 4, 0 entries, next update " + until,
		"crl.install: shard 0, number 5, 1 entries, next update " + until,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
