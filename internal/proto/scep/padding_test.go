package scep

import (
	"bytes"
	"log/slog"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
)

// TestNoPaddingOracle: whoever signs a changed envelope of somebody else as their own
// message, of any type, gets one answer whatever it decrypts to: with two of them the
// envelope could be read, byte by byte. Nor is it told to who may look at the endpoint.
func TestNoPaddingOracle(t *testing.T) {
	f := newFake(t)
	s := f.server()
	attacker, victim := newParty(t, newRSA(t, "attacker"), "attacker"), newParty(t, newRSA(t, "victim"), "victim")
	own := newCSR(t, attacker.key, "attacker", "once")
	f.err = pki.Errorf(pki.Pending, "others must approve")
	if a := post(t, s, attacker.send(t, request{kind: pkcsReq, id: "own", content: own, to: f.to[0].certificate})); a.status != statusPending {
		t.Fatalf("%+v", a)
	}
	f.err = nil

	csr := newCSR(t, victim.key, "victim", "once")
	unproved := bytes.Clone(csr)
	unproved[len(unproved)-1] ^= 1
	weak := bytes.Clone(csr) // a key that cannot be read, and with it a signature that does not verify
	key := bytes.Index(weak, spki(t, victim.key.Public()))
	weak[key+30] ^= 0xff
	anything := der.Append(nil, asn1.SEQUENCE, nil)
	decrypted := map[string][]byte{
		"nothing of any form": []byte("0123456789abcdef"),
		"two of anything":     names(anything, anything),
		"a serial":            named(anything, pki.Serial{19: 1}),
		"another's names":     names(parse(t, f.ca.certificate).RawSubject, subjectOf(t, csr)),
		"a request unproved":  unproved,
		"a key of no form":    weak,
	}
	for _, kind := range []messageType{pkcsReq, renewalReq, certPoll, getCert, getCRL} {
		for _, id := range []string{"own", "another"} {
			var first *answer
			var shown enroll.Refusal
			ask := func(what string, envelope []byte) {
				t.Helper()
				message := attacker.sign(t, envelope, []cms.Attribute{
					printable(oidMessageType, strconv.Itoa(int(kind))), printable(oidTransactionID, id), octets(oidSenderNonce, make([]byte, nonceSize)),
				})
				w := call(s, http.MethodPost, operationURL, message)
				if w.Code != http.StatusOK {
					t.Fatalf("%s, %s: HTTP %d", kind, what, w.Code)
				}
				a := read(t, w.Body.Bytes())
				seen := f.refused[len(f.refused)-1]
				if first == nil {
					first, shown = a, seen
				}
				if diff := cmp.Diff(shown.Why, seen.Why); diff != "" || seen.Protocol != shown.Protocol {
					t.Errorf("%s in transaction %s: who may look at the endpoint tells %s from what cannot be opened: %s", kind, id, what, diff)
				}
				if a.status != statusFailure || a.failInfo != first.failInfo || a.text != first.text {
					t.Errorf("%s in transaction %s: of %s it says %s %q, and of what cannot be opened %s %q", kind, id, what, a.failInfo, a.text, first.failInfo, first.text)
				}
			}
			envelope := func(content []byte) []byte {
				sealed, err := cms.Encrypt(cms.Envelope{Content: content, Cipher: cms.AES128CBC}, cms.Recipient{Certificate: f.to[0].certificate})
				if err != nil {
					t.Fatal(err)
				}
				return sealed
			}
			broken := envelope(bytes.Repeat([]byte{0}, 16)) // a whole block of padding follows
			broken[len(broken)-17] ^= 0x40                  // its last octet is 0x50, of no padding
			ask("broken padding", broken)
			for what, content := range decrypted {
				ask(what, envelope(content))
			}
		}
	}
	if len(f.issued) != 0 {
		t.Errorf("%d certificates were issued", len(f.issued))
	}
}

// TestOpenIsLimited: a source whose messages cannot be opened is heard less and less.
func TestOpenIsLimited(t *testing.T) {
	f := newFake(t)
	now := time.Now()
	s := New(Config{
		RA: f, Authorities: f, Prover: f, Store: f, Certificates: f, CRLs: f, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Limits: limit.New(limit.Config{Failures: limit.Rate{PerSecond: 1, Burst: 5}, Now: func() time.Time { return now }}),
	})
	device := newParty(t, newRSA(t, "device"), "device")
	message := device.send(t, request{kind: pkcsReq, id: "1", content: []byte("garbage"), to: f.to[0].certificate})
	for i := range 7 {
		w := call(s, http.MethodPost, operationURL, message)
		if limited := w.Code == http.StatusServiceUnavailable; limited != (i >= 5) {
			t.Errorf("message %d: HTTP %d", i+1, w.Code)
		}
	}
}
