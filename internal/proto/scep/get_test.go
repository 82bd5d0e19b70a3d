package scep

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/visits"
)

// named returns what a GetCert and a GetCRL carry.
func named(issuer []byte, serial pki.Serial) []byte {
	return der.Append(nil, asn1.SEQUENCE, der.AppendUnsigned(bytes.Clone(issuer), serial[:]))
}

// TestGetCert: a certificate is given to whoever holds its key, and to its device.
func TestGetCert(t *testing.T) {
	f := newFake(t)
	device, other := newParty(t, newRSA(t, "device"), "device"), newParty(t, newRSA(t, "other"), "other")
	ca := parse(t, f.ca.certificate)
	template := &x509.Certificate{SerialNumber: big.NewInt(77), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	issued, err := x509.CreateCertificate(rand.Reader, template, ca, device.key.Public(), f.ca.key)
	if err != nil {
		t.Fatal(err)
	}
	serial, lent := pki.Serial{19: 77}, pki.Serial{19: 78}
	f.certificates = map[pki.Serial]*pki.Certificate{
		serial: {Owner: "demo", Device: "SM-1", DER: issued}, lent: {Owner: "borrower", Device: "SM-1", DER: issued},
	}
	ask := func(p party, content []byte) *answer {
		return post(t, f.server(), p.send(t, request{kind: getCert, id: "1", content: content, to: f.to[0].certificate}), p.recipient())
	}
	if got := certificateIn(t, ask(device, named(ca.RawSubject, serial))); !bytes.Equal(got.Raw, issued) {
		t.Error("another certificate")
	}
	refused := func(a *answer, want failInfo) {
		t.Helper()
		if a.status != statusFailure || a.failInfo != want.value() || a.content != nil {
			t.Errorf("%+v", a)
		}
	}
	refused(ask(other, named(ca.RawSubject, serial)), badCertID)
	refused(ask(device, named(ca.RawSubject, pki.Serial{19: 1})), badCertID)
	refused(ask(device, named(ca.RawSubject, lent)), badCertID)
	refused(ask(device, named(parse(t, other.certificate).RawSubject, serial)), badMessageCheck)
	refused(ask(device, []byte("garbage")), badMessageCheck)
	// What the proof of who asks was refused for is seen by that alone.
	before := len(f.refused)
	f.prove = visits.Noted(pki.Errorf(pki.Unauthenticated, "proves nobody"))
	refused(ask(other, named(ca.RawSubject, serial)), badCertID)
	f.prove = nil
	if len(f.refused) != before {
		t.Errorf("seen twice: %+v", f.refused[before:])
	}
	for who, known := range map[pki.DeviceID]bool{"SM-1": true, "SM-2": false} {
		f.device = who
		if a := ask(other, named(ca.RawSubject, serial)); (a.status == statusSuccess) != known {
			t.Errorf("%s: %+v", who, a)
		}
	}
}

// TestGetCRL: the CRL is that of the certificate's shard.
func TestGetCRL(t *testing.T) {
	f := newFake(t)
	device := newParty(t, newRSA(t, "device"), "device")
	ca := parse(t, f.ca.certificate)
	serial := pki.Serial{19: 77}
	crl := der.Append(nil, asn1.SEQUENCE, der.AppendInteger(nil, 7)) // no more is looked at here
	list := revocation.List{Issuer: "1", Shard: serial.Shard(4)}
	f.crls = map[revocation.List][]byte{list: crl}
	ask := func(content []byte) *answer {
		return post(t, f.server(), device.send(t, request{kind: getCRL, id: "1", content: content, to: f.to[0].certificate}), device.recipient())
	}
	a := ask(named(ca.RawSubject, serial))
	if a.status != statusSuccess {
		t.Fatalf("%+v", a)
	}
	signed, err := cms.ParseSigned(a.content)
	if err != nil || len(signed.CRLs) != 1 || !bytes.Equal(signed.CRLs[0], crl) || len(signed.Certificates) != 0 {
		t.Errorf("%+v, %v", signed, err)
	}
	if a := ask(named(parse(t, device.certificate).RawSubject, serial)); a.failInfo != badMessageCheck.value() {
		t.Errorf("%+v", a)
	}
	delete(f.crls, list) // not made yet
	message := device.send(t, request{kind: getCRL, id: "1", content: named(ca.RawSubject, serial), to: f.to[0].certificate})
	if w := call(f.server(), http.MethodPost, operationURL, message); w.Code != http.StatusServiceUnavailable {
		t.Errorf("where there is none yet: HTTP %d", w.Code)
	}
	f.crls[list] = der.Append(nil, asn1.SEQUENCE, make([]byte, maxCRL))
	if a := ask(named(ca.RawSubject, serial)); a.failInfo != badRequest.value() {
		t.Errorf("%+v", a)
	}
}
