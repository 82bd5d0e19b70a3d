// Package revocationtest makes a validation authority for tests: a root with an
// offline key, an issuer below it, a delegated responder, and a
// revocation.Service over them with a store in memory and a clock to set.
package revocationtest

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"log/slog"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/tbs"
)

// Tenant owns the root and the issuer.
const Tenant pki.TenantID = "acme"

// A CA is an issuer with what a test needs to sign in its place.
type CA struct {
	Issuer      *pki.Issuer
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// A VA is a validation authority whose surroundings a test controls.
type VA struct {
	*revocation.Service
	Clock      *Clock
	Store      *FakeStore
	Signer     *FakeSigner
	Responders *FakeResponders
	Alarms     *alarm.Board
	Root       CA // its key is offline
	CA         CA // signs CRLs, and certificates that are in Store

	// LintCRL is what Config.LintCRL does; nil takes all.
	LintCRL func(message []byte, alg tbs.SignatureAlgorithm) error

	others []*pki.Issuer
}

// New makes a VA whose CA has the given number of CRL shards. Its clock stands
// at the time that it is in the test.
func New(t testing.TB, shards int) *VA {
	t.Helper()
	v := &VA{Clock: &Clock{now: time.Now().UTC().Truncate(time.Second)}, Store: NewFakeStore()}
	v.Signer = &FakeSigner{keys: make(map[pki.KeyURI]crypto.Signer)}
	v.Root = v.newCA(t, "root", pki.OfflineKey, 1, nil)
	v.CA = v.newCA(t, "issuer", "fake:ca", shards, &v.Root)
	v.Signer.SetKey(v.CA.Issuer.Key, v.CA.Key)
	v.Store.AddIssuer(v.Root.Issuer)
	v.Store.AddIssuer(v.CA.Issuer)
	v.Responders = &FakeResponders{va: v}
	v.Alarms = alarm.NewBoard(v.Clock.Now)
	v.Service = v.Over(v.Store)
	return v
}

// Over returns another service over the same surroundings, with another store.
func (v *VA) Over(store revocation.Store) *revocation.Service {
	return revocation.New(revocation.Config{
		Store: store, Signer: v.Signer, Issuers: fakeIssuers{v}, Responders: v.Responders, Gate: noGate{}, Alarms: v.Alarms,
		Now: v.Clock.Now, Log: slog.New(slog.DiscardHandler),
		LintCRL: func(message []byte, alg tbs.SignatureAlgorithm) error {
			if v.LintCRL == nil {
				return nil
			}
			return v.LintCRL(message, alg)
		},
	})
}

// noGate lets everything pass: no rule is about what these tests do.
type noGate struct{}

func (noGate) Pass(context.Context, access.Permit, approval.Request) error { return nil }

func (noGate) Share(context.Context, pki.TenantID) (int, bool, error) { return 0, false, nil }

// AddCA adds another online issuer, whose turn is after that of those before it.
func (v *VA) AddCA(t testing.TB, name string, shards int) CA {
	t.Helper()
	ca := v.newCA(t, name, pki.KeyURI("fake:"+name), shards, &v.Root)
	v.Signer.SetKey(ca.Issuer.Key, ca.Key)
	v.Store.AddIssuer(ca.Issuer)
	v.others = append(v.others, ca.Issuer)
	return ca
}

// Permit returns the permit of a permission in a tenant.
func Permit(t testing.TB, tenant pki.TenantID, p access.Permission) access.Permit {
	t.Helper()
	g, err := access.System(tenant, "test").Authorize(p, tenant)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Issue puts a certificate of the CA, valid for a year, into the store: no more
// of it than its serial.
func (v *VA) Issue() pki.Serial {
	now := v.Clock.Now()
	serial := pki.NewSerial(pki.SerialShort, now)
	v.Store.AddCertificate(v.CA.Issuer, serial, now.AddDate(1, 0, 0))
	return serial
}

// RevokeElsewhere stores an entry as another process would: the Service is not told.
func (v *VA) RevokeElsewhere(t testing.TB, serial pki.Serial, reason pki.Reason) {
	t.Helper()
	e := &revocation.Entry{Tenant: Tenant, Revocation: pki.Revocation{Issuer: v.CA.Issuer.ID, Serial: serial, Reason: reason, At: v.Clock.Now()}}
	if err := cmp.Or(v.Store.Revoke(context.Background(), []*revocation.Entry{e}), e.Err); err != nil {
		t.Fatal(err)
	}
}

func (v *VA) newCA(t testing.TB, name string, uri pki.KeyURI, shards int, parent *CA) CA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: v.Clock.Now().Add(-time.Hour), NotAfter: v.Clock.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: parent != nil, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	signing, signer := template, crypto.Signer(key)
	if parent != nil {
		signing, signer = parent.Certificate, parent.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signing, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return CA{Certificate: certificate, Key: key, Issuer: &pki.Issuer{
		ID: pki.IssuerID(name), Tenant: Tenant, Key: uri, Certificate: der,
		StatusURL: "http://status.example", Shards: shards,
		NotBefore: certificate.NotBefore, NotAfter: certificate.NotAfter,
	}}
}

// newResponder makes a delegated responder's certificate (RFC 6960, 4.2.2.2).
func (v *VA) newResponder(life time.Duration, change func(*x509.Certificate)) ([]byte, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := v.Clock.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "OCSP"},
		NotBefore: now, NotAfter: now.Add(life), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: asn1.NullBytes}},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, v.CA.Certificate, key.Public(), v.CA.Key)
	return der, key, err
}

// fakeIssuers has the VA's issuers.
type fakeIssuers struct{ va *VA }

func (f fakeIssuers) Issuer(ctx context.Context, id pki.IssuerID) (*pki.Issuer, error) {
	all, _ := f.AllIssuers(ctx)
	for _, i := range all {
		if i.ID == id {
			return i, nil
		}
	}
	return nil, pki.Errorf(pki.NotFound, "no such issuer")
}

func (f fakeIssuers) AllIssuers(context.Context) ([]*pki.Issuer, error) {
	return append([]*pki.Issuer{f.va.Root.Issuer, f.va.CA.Issuer}, f.va.others...), nil
}

// A Clock stands still until it is advanced.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
