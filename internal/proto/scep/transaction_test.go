package scep

import (
	"bytes"
	"crypto/x509"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// names returns what a CertPoll carries.
func names(issuer, subject []byte) []byte {
	return der.Append(nil, asn1.SEQUENCE, append(bytes.Clone(issuer), subject...))
}

func subjectOf(t testing.TB, csr []byte) []byte {
	t.Helper()
	r, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		t.Fatal(err)
	}
	return r.RawSubject
}

// TestTransactions: an identifier is that of its keys, and what is sent again in it gets
// the same certificate.
func TestTransactions(t *testing.T) {
	f := newFake(t)
	s := f.server()
	device, other := newParty(t, newRSA(t, "device"), "device"), newParty(t, newRSA(t, "other"), "other")
	ask := func(p party, id string, csr []byte) *answer {
		return post(t, s, p.send(t, request{kind: pkcsReq, id: id, content: csr, to: f.to[0].certificate}), p.recipient())
	}
	csr := newCSR(t, device.key, "device", "once")
	first := certificateIn(t, ask(device, "1", csr))
	// With a new self-signed certificate of the key, as clients make one for each attempt.
	if again := certificateIn(t, ask(newParty(t, device.key, "device"), "1", csr)); !again.Equal(first) {
		t.Error("what was sent again got another certificate")
	}
	if a := ask(other, "1", newCSR(t, other.key, "device", "once")); a.status != statusFailure || a.failInfo != badRequest.value() {
		t.Errorf("a transaction goes on with another key: %+v", a)
	}
	if len(f.issued) != 1 {
		t.Errorf("%d certificates were issued", len(f.issued))
	}
	// One that was refused may ask better: identifiers are mostly a hash of the key.
	certificateIn(t, ask(device, "1", newCSR(t, device.key, "device, better", "once")))
	if len(f.issued) != 2 {
		t.Errorf("%d certificates were issued", len(f.issued))
	}
}

func TestRenewal(t *testing.T) {
	f := newFake(t)
	s := f.server()
	old, fresh := newParty(t, newRSA(t, "device"), "device"), newRSA(t, "fresh")
	message := old.send(t, request{kind: renewalReq, id: "1", content: newCSR(t, fresh, "device", ""), to: f.to[0].certificate})
	got := certificateIn(t, post(t, s, message, old.recipient()))
	if !bytes.Equal(got.RawSubjectPublicKeyInfo, spki(t, fresh.Public())) {
		t.Error("a certificate of another key")
	}
	if again := certificateIn(t, post(t, s, message, old.recipient())); !again.Equal(got) {
		t.Error("what was sent again got another certificate")
	}
	if asked := f.asked[0]; !asked.Renews {
		t.Errorf("%+v", asked)
	}
	if p := f.proved[0]; !p.Renews || !bytes.Equal(p.Certificates[0].Raw, old.certificate) {
		t.Errorf("%d certificates, renews %v", len(p.Certificates), p.Renews)
	}
	f.err = pki.Errorf(pki.PolicyRefused, "another subject")
	if a := post(t, s, old.send(t, request{kind: renewalReq, id: "2", content: newCSR(t, fresh, "other", ""), to: f.to[0].certificate})); a.failInfo != badRequest.value() {
		t.Errorf("%+v", a)
	}
}

// TestIdentifierOfAnother: an identifier that somebody else took, by another proof, keeps
// nobody out, and neither is polled by the other.
func TestIdentifierOfAnother(t *testing.T) {
	f := newFake(t)
	s := f.server()
	device, other := newParty(t, newRSA(t, "device"), "device"), newParty(t, newRSA(t, "other"), "other")
	f.device = "SM-2" // whom the other's certificate proves
	f.err = pki.Errorf(pki.Pending, "others must approve")
	theirs := newCSR(t, other.key, "other", "")
	if a := post(t, s, other.send(t, request{kind: pkcsReq, id: "1", content: theirs, to: f.to[0].certificate})); a.status != statusPending {
		t.Fatalf("%+v", a)
	}
	csr := newCSR(t, device.key, "device", "once")
	if a := post(t, s, device.send(t, request{kind: pkcsReq, id: "1", content: csr, to: f.to[0].certificate})); a.status != statusPending {
		t.Fatalf("%+v", a)
	}
	f.err = nil
	poll := names(parse(t, f.ca.certificate).RawSubject, subjectOf(t, csr))
	got := certificateIn(t, post(t, s, device.send(t, request{kind: certPoll, id: "1", content: poll, to: f.to[0].certificate}), device.recipient()))
	if !bytes.Equal(got.RawSubjectPublicKeyInfo, spki(t, device.key.Public())) {
		t.Error("a certificate of another key")
	}
	if a := post(t, s, other.send(t, request{kind: certPoll, id: "1", content: poll, to: f.to[0].certificate})); a.status != statusFailure {
		t.Errorf("polled by another: %+v", a)
	}
}

// TestRecordedRenewal: a RenewalReq that led to a certificate leads to that one as long as
// it is valid, when its transaction is long forgotten, and to a refusal when it is revoked.
func TestRecordedRenewal(t *testing.T) {
	f := newFake(t)
	s := f.server()
	f.device, f.old = "SM-1", &pki.Certificate{Owner: "demo", Device: "SM-1"}
	old, fresh := newParty(t, newRSA(t, "device"), "device"), newRSA(t, "fresh")
	csr := newCSR(t, fresh, "device", "")
	message := old.send(t, request{kind: renewalReq, id: "1", content: csr, to: f.to[0].certificate})
	got := certificateIn(t, post(t, s, message, old.recipient()))
	f.renewal, f.renewed = &pki.Certificate{DER: got.Raw, NotAfter: time.Now().Add(time.Hour)}, tbs.CutKey(csr, spki(t, fresh.Public()))
	clear(f.transactions)
	clear(f.issued)
	if again := certificateIn(t, post(t, s, message, old.recipient())); !again.Equal(got) || len(f.issued) != 0 {
		t.Error("what was recorded is a new request")
	}
	other := newRSA(t, "other")
	certificateIn(t, post(t, s, old.send(t, request{kind: renewalReq, id: "2", content: newCSR(t, other, "device", ""), to: f.to[0].certificate}), old.recipient()))
	if len(f.issued) != 1 {
		t.Error("another request is not a new one")
	}
	f.revoked = pki.Errorf(pki.PolicyRefused, "revoked")
	if a := post(t, s, message, old.recipient()); a.status != statusFailure || a.failInfo != badRequest.value() || len(f.issued) != 1 {
		t.Errorf("what it led to is revoked: %+v", a)
	}
	f.revoked = nil
	f.renewal.NotAfter = time.Now().Add(-time.Hour)
	certificateIn(t, post(t, s, message, old.recipient()))
	if len(f.issued) != 2 {
		t.Error("a device that slept through the life of its renewal gets none")
	}
}

// TestMakersCertificate: a device whose certificate proves it, as its maker's does, enrols
// another key by it, without a challenge.
func TestMakersCertificate(t *testing.T) {
	f := newFake(t)
	f.device = "SM-1"
	device, fresh := newParty(t, newRSA(t, "device"), "device"), newRSA(t, "fresh")
	got := certificateIn(t, post(t, f.server(), device.send(t, request{kind: pkcsReq, id: "1", content: newCSR(t, fresh, "SM-1", ""), to: f.to[0].certificate}), device.recipient()))
	if !bytes.Equal(got.RawSubjectPublicKeyInfo, spki(t, fresh.Public())) || f.asked[0].Renews {
		t.Errorf("%+v", f.asked[0])
	}
}

// TestCertificateOfNobody: a certificate that proves somebody who is no device, as a plant,
// enrols nothing by itself.
func TestCertificateOfNobody(t *testing.T) {
	f := newFake(t)
	f.plant = true
	device := newParty(t, newRSA(t, "device"), "device")
	for _, kind := range []messageType{pkcsReq, renewalReq} {
		a := post(t, f.server(), device.send(t, request{kind: kind, id: "1", content: newCSR(t, device.key, "device", ""), to: f.to[0].certificate}))
		if a.status != statusFailure || a.failInfo != badRequest.value() || len(f.issued) > 0 {
			t.Errorf("%s: %+v", kind, a)
		}
	}
}

// TestCertPoll: what waits is asked for again until it is issued or refused, by the key
// that asked for it and nobody else.
func TestCertPoll(t *testing.T) {
	f := newFake(t)
	s := f.server()
	device, other := newParty(t, newRSA(t, "device"), "device"), newParty(t, newRSA(t, "other"), "other")
	csr := newCSR(t, device.key, "device", "once")
	ca := parse(t, f.ca.certificate).RawSubject
	good := names(ca, subjectOf(t, csr))
	poll := func(p party, id string, content []byte) *answer {
		t.Helper()
		return post(t, s, p.send(t, request{kind: certPoll, id: id, content: content, to: f.to[0].certificate}), p.recipient())
	}
	wants := func(a *answer, status string, reason failInfo) {
		t.Helper()
		if a.status != status || status == statusFailure && a.failInfo != reason.value() {
			t.Errorf("status %s, failInfo %s: %s", a.status, a.failInfo, a.text)
		}
	}
	wants(poll(device, "1", good), statusFailure, badCertID)
	f.err = pki.Errorf(pki.Pending, "others must approve")
	wants(post(t, s, device.send(t, request{kind: pkcsReq, id: "1", content: csr, to: f.to[0].certificate})), statusPending, 0)
	wants(poll(device, "1", good), statusPending, 0)
	wants(poll(other, "1", good), statusFailure, badCertID)
	wants(poll(device, "2", good), statusFailure, badCertID)
	wants(poll(device, "1", names(ca, ca)), statusFailure, badMessageCheck)
	wants(poll(device, "1", csr), statusFailure, badMessageCheck)
	f.again = pki.Errorf(pki.Unauthenticated, "the secret is revoked")
	wants(poll(device, "1", good), statusFailure, badMessageCheck)
	f.again, f.err = nil, pki.Errorf(pki.PolicyRefused, "this request was refused")
	wants(poll(device, "1", good), statusFailure, badRequest)
	if len(f.issued) != 0 {
		t.Fatal("a certificate was issued")
	}
	f.err = nil
	got := certificateIn(t, poll(device, "1", good))
	if again := certificateIn(t, poll(device, "1", good)); !again.Equal(got) {
		t.Error("the next poll got another certificate")
	}
	if sent := certificateIn(t, post(t, s, device.send(t, request{kind: pkcsReq, id: "1", content: csr, to: f.to[0].certificate}), device.recipient())); !sent.Equal(got) {
		t.Error("the request itself got another certificate")
	}
	// What was never waiting is not polled.
	post(t, s, device.send(t, request{kind: pkcsReq, id: "3", content: csr, to: f.to[0].certificate}), device.recipient())
	wants(poll(device, "3", good), statusFailure, badCertID)
}
