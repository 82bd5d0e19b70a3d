package trust_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/registry"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/trust"
)

// A fakeStore has one issuer, and what it is given.
type fakeStore struct {
	trust.Store
	issuer  *pki.Issuer
	other   *pki.Issuer // nil for none
	anchors []*trust.Anchor
	records map[pki.Serial]*pki.Certificate
	revoked map[pki.Serial]bool
	held    map[pki.Serial]bool
	devices map[pki.DeviceID]registry.State
}

func (f *fakeStore) AllAnchors(context.Context) ([]*trust.Anchor, error) { return f.anchors, nil }

func (f *fakeStore) AllIssuers(context.Context) ([]*pki.Issuer, error) {
	if f.other != nil {
		return []*pki.Issuer{f.other, f.issuer}, nil
	}
	return []*pki.Issuer{f.issuer}, nil
}

func (f *fakeStore) Status(_ context.Context, _ pki.IssuerID, serial pki.Serial) (revocation.Status, error) {
	status := revocation.Status{Known: f.records[serial] != nil}
	if f.revoked[serial] {
		status.Known, status.Revocation = true, &pki.Revocation{Serial: serial}
	}
	if f.held[serial] {
		status.Known, status.Revocation = true, &pki.Revocation{Serial: serial, Reason: pki.CertificateHold}
	}
	return status, nil
}

func (f *fakeStore) Device(_ context.Context, _ pki.TenantID, id pki.DeviceID) (*registry.Device, error) {
	return &registry.Device{ID: id, State: f.devices[id]}, nil
}

func (f *fakeStore) Certificate(_ context.Context, tenant pki.TenantID, _ pki.IssuerID, serial pki.Serial) (*pki.Certificate, error) {
	if c := f.records[serial]; c != nil && tenant == f.issuer.Tenant {
		return c, nil
	}
	return nil, pki.Errorf(pki.NotFound, "no certificate")
}

// A house is acme's authority, which it trusts for devices.
type house struct {
	*fakeStore
	t  *testing.T
	ca *pandotest.CA
	// key is that of every device.
	key crypto.Signer
}

func newHouse(t *testing.T) *house {
	ca := pandotest.NewRoot(t, "Devices", time.Now().Add(-time.Hour))
	return &house{t: t, ca: ca, key: pandotest.Key(t, pki.P256), fakeStore: &fakeStore{
		issuer:  &pki.Issuer{ID: "issuer", Tenant: "acme", Certificate: ca.Certificate.Raw},
		anchors: []*trust.Anchor{{Tenant: "acme", Name: "devices", Certificate: ca.Certificate.Raw, Grants: access.Given(access.Device, access.Scope{Endpoint: "meter"})}},
		records: make(map[pki.Serial]*pki.Certificate), revoked: make(map[pki.Serial]bool),
	}}
}

// sign makes a certificate with a serial and a CN.
func (h *house) sign(serial byte, cn string) []byte {
	return h.ca.Sign(h.t, &x509.Certificate{SerialNumber: big.NewInt(int64(serial)), Subject: pkix.Name{CommonName: cn},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"a.example"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, h.key.Public())
}

func (h *house) record(serial byte, der []byte, device pki.DeviceID, owner pki.TenantID) {
	s := pki.Serial{len(pki.Serial{}) - 1: serial}
	h.records[s] = &pki.Certificate{Issuer: "issuer", Serial: s, Tenant: "acme", Owner: owner, Device: device, DER: der}
}

func (h *house) authenticate(der []byte, tenant pki.TenantID) (access.Principal, error) {
	service := trust.New(trust.Config{Store: h.fakeStore, Now: time.Now})
	return service.Authenticate(h.t.Context(), []*x509.Certificate{pandotest.Parse(h.t, der)}, tenant)
}

func (h *house) refused(what string, der []byte) {
	h.t.Helper()
	if who, err := h.authenticate(der, ""); pki.KindOf(err) != pki.Unauthenticated {
		h.t.Errorf("%s: %+v, %v", what, who, err)
	}
}

// TestDeviceIsTheRecords: a certificate of ours is the device that it was issued for,
// whatever a profile let its subject say; one that was not recorded is nobody's.
func TestDeviceIsTheRecords(t *testing.T) {
	h := newHouse(t)
	der := h.sign(1, "SM-1")
	h.refused("one that is not recorded", der)
	h.record(1, h.sign(1, "SM-2"), "SM-1", "acme")
	h.refused("another than the one that is recorded", der)
	h.record(1, der, "", "acme")
	h.refused("one for no device", der)

	h.record(1, der, "SM-7", "acme")
	who, err := h.authenticate(der, "")
	if err != nil || who.Device != "SM-7" || who.Tenant != "acme" || who.ID != "certificate:issuer/1" || !bytes.Contains(who.Names, []byte("a.example")) {
		t.Errorf("the subject says SM-1, the record SM-7: %+v, %v", who, err)
	}

	h.record(1, der, "SM-7", "globex")
	h.refused("one of another tenant's device, which names no tenant", der)
	if who, err := h.authenticate(der, "acme"); pki.KindOf(err) != pki.Unauthenticated {
		t.Errorf("one of a tenant to which acme lent its authority is acme's device: %+v, %v", who, err)
	}
}

// TestSameKey: whichever certificate of an authority of ours an anchor has, what it
// certifies is looked up.
func TestSameKey(t *testing.T) {
	h := newHouse(t)
	again := pandotest.Parse(t, h.ca.Sign(t, &x509.Certificate{SerialNumber: big.NewInt(77), Subject: h.ca.Certificate.Subject,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign}, h.ca.Key.Public()))
	h.anchors[0].Certificate = again.Raw
	der := h.sign(1, "SM-1")
	h.refused("one that is not recorded", der)
	h.record(1, der, "SM-1", "acme")
	if _, err := h.authenticate(der, ""); err != nil {
		t.Error(err)
	}
	h.revoked[pki.Serial{len(pki.Serial{}) - 1: 1}] = true
	h.refused("one that is revoked", der)
}

// TestOthersDevice: an imported authority's certificate is the device that its subject
// names.
func TestOthersDevice(t *testing.T) {
	h := newHouse(t)
	h.issuer = &pki.Issuer{ID: "issuer", Tenant: "acme", Certificate: pandotest.NewRoot(t, "Another", time.Now().Add(-time.Hour)).Certificate.Raw}
	who, err := h.authenticate(h.sign(1, "SM-1"), "")
	if err != nil || who.Device != "SM-1" || who.ID != "certificate:trust:devices/1" {
		t.Errorf("%+v, %v", who, err)
	}
	h.refused("one without a name", h.sign(2, ""))
}

// TestStrangeIssuer: an authority that crypto/x509 does not take keeps nobody else's
// devices out.
func TestStrangeIssuer(t *testing.T) {
	h := newHouse(t)
	strange := h.ca.Sign(t, &x509.Certificate{SerialNumber: big.NewInt(5), Subject: pkix.Name{CommonName: "Strange"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 17}, Value: []byte{0x30, 0x05, 0x87, 0x03, 1, 2, 3}}}}, h.key.Public())
	if _, err := x509.ParseCertificate(strange); err == nil {
		t.Fatal("crypto/x509 takes it")
	}
	h.other = &pki.Issuer{ID: "other", Tenant: "globex", Certificate: strange}
	der := h.sign(1, "SM-1")
	h.record(1, der, "SM-1", "acme")
	if _, err := h.authenticate(der, ""); err != nil {
		t.Error(err)
	}
}

// TestHeldSaysWhy: that a certificate is on hold, and with its device, is the cause of the
// refusal, which operators see, and not what whoever asked is told; nor is the state of
// another tenant's device.
func TestHeldSaysWhy(t *testing.T) {
	h := newHouse(t)
	h.devices = map[pki.DeviceID]registry.State{"SM-1": registry.Active, "SM-2": registry.Suspended, "SM-3": registry.Suspended}
	h.held = make(map[pki.Serial]bool)
	for serial, test := range []struct {
		device    pki.DeviceID
		owner     pki.TenantID
		suspended bool
	}{{"SM-1", "acme", false}, {"SM-2", "acme", true}, {"SM-3", "globex", false}} {
		der := h.sign(byte(serial+1), string(test.device))
		h.record(byte(serial+1), der, test.device, test.owner)
		h.held[pki.Serial{len(pki.Serial{}) - 1: byte(serial + 1)}] = true
		_, err := h.authenticate(der, "acme")
		if pki.KindOf(err) != pki.Unauthenticated || pki.DetailOf(err) != "the client certificate is not valid here" {
			t.Errorf("%s: whoever asked is told %q", test.device, pki.DetailOf(err))
		}
		if why := err.Error(); !strings.Contains(why, "is on hold") || strings.Contains(why, "is suspended") != test.suspended {
			t.Errorf("%s: %s", test.device, why)
		}
	}
}
