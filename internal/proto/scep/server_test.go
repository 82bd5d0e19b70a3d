package scep

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/pkcs7"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/limit"
	"github.com/pando-pki/pando/internal/pki"
)

func TestGetCACaps(t *testing.T) {
	w := call(newFake(t).server(), http.MethodGet, prefix+label+"?operation=GetCACaps", nil)
	want := "AES\nPOSTPKIOperation\nRenewal\nSCEPStandard\nSHA-256\nSHA-384\nSHA-512\n"
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/plain" || w.Body.String() != want {
		t.Errorf("HTTP %d, %q: %q", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
}

func TestGetCACert(t *testing.T) {
	f := newFake(t)
	f.to = append(f.to, newParty(t, newRSA(t, "before"), "RA"))
	for _, query := range []string{"", "&message=anything", "&message="} {
		for _, path := range []string{label, label + "/", label + "/pkiclient.exe"} {
			w := call(f.server(), http.MethodGet, prefix+path+"?operation=GetCACert"+query, nil)
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/x-x509-ca-ra-cert" {
				t.Fatalf("HTTP %d, %q", w.Code, w.Header().Get("Content-Type"))
			}
			signed, err := cms.ParseSigned(w.Body.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			got, want := make(map[string]bool), map[string]bool{string(f.ca.certificate): true, string(f.signer.certificate): true, string(f.to[0].certificate): true}
			for _, c := range signed.Certificates {
				got[string(c)] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// TestHTTP has what HTTP alone answers.
func TestHTTP(t *testing.T) {
	f := newFake(t)
	s := f.server()
	device := newParty(t, newRSA(t, "device"), "device")
	good := device.send(t, request{kind: pkcsReq, id: "1", content: newCSR(t, device.key, "device", "once"), to: f.to[0].certificate})
	for name, c := range map[string]struct {
		method, target string
		body           []byte
		want           int
	}{
		"another path":        {http.MethodGet, "/other", nil, 404},
		"no operation":        {http.MethodGet, prefix + label, nil, 400},
		"unknown operation":   {http.MethodGet, prefix + label + "?operation=GetNextCert", nil, 400},
		"another case":        {http.MethodGet, prefix + label + "?operation=getcacert", nil, 400},
		"unknown endpoint":    {http.MethodGet, prefix + "demo.none?operation=GetCACert", nil, 404},
		"no endpoint":         {http.MethodGet, prefix + "?operation=GetCACert", nil, 404},
		"capabilities by PUT": {http.MethodPut, prefix + label + "?operation=GetCACaps", nil, 405},
		"message by PUT":      {http.MethodPut, operationURL, good, 405},
		"no message":          {http.MethodPost, operationURL, nil, 400},
		"no message in query": {http.MethodGet, operationURL, nil, 400},
		"garbage":             {http.MethodPost, operationURL, []byte("garbage"), 400},
		"garbage in query":    {http.MethodGet, operationURL + "&message=$$$", nil, 400},
		"truncated":           {http.MethodPost, operationURL, good[:len(good)-1], 400},
		"oversized":           {http.MethodPost, operationURL, make([]byte, maxMessage+1), 413},
		"nested without end":  {http.MethodPost, operationURL, bytes.Repeat([]byte{0x30, 0x80}, 40_000), 400},
		"no SCEP message":     {http.MethodPost, operationURL, certsOnly(t, device.certificate), 400},
	} {
		t.Run(name, func(t *testing.T) {
			w := call(s, c.method, c.target, c.body)
			if w.Code != c.want {
				t.Errorf("HTTP %d, want %d: %s", w.Code, c.want, w.Body)
			}
			if len(f.asked) > 0 {
				t.Fatal("the registration authority was asked")
			}
		})
	}
	s.cfg.Limits = limit.New(limit.Config{Status: limit.Rate{PerSecond: 1, Burst: 1}, Now: time.Now})
	call(s, http.MethodGet, prefix+label+"?operation=GetCACaps", nil)
	if w := call(s, http.MethodPost, operationURL, good); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("a source that asks too much: HTTP %d", w.Code)
	}
}

func TestPKCSReq(t *testing.T) {
	f := newFake(t)
	s := f.server()
	device := newParty(t, newRSA(t, "device"), "device 1")
	csr := newCSR(t, device.key, "device 1", "once")
	for _, cipher := range []cms.Cipher{cms.AES128CBC, cms.AES192CBC, cms.AES256CBC, cms.AES128GCM} {
		message := device.send(t, request{kind: pkcsReq, id: "1", content: csr, to: f.to[0].certificate, cipher: cipher})
		byPOST := certificateIn(t, post(t, s, message, device.recipient()))
		if byPOST.Subject.CommonName != "device 1" || !bytes.Equal(byPOST.RawSubjectPublicKeyInfo, spki(t, device.key.Public())) {
			t.Errorf("a certificate of %s", byPOST.Subject)
		}
		for _, target := range []string{messageQuery(message), strings.ReplaceAll(messageQuery(message), "%2B", "+")} {
			w := call(s, http.MethodGet, target, nil)
			if w.Code != http.StatusOK {
				t.Fatalf("HTTP %d: %s", w.Code, w.Body)
			}
			if again := certificateIn(t, read(t, w.Body.Bytes(), device.recipient())); !again.Equal(byPOST) {
				t.Error("the same request got another certificate by GET")
			}
		}
	}
	if len(f.issued) != 1 {
		t.Errorf("%d certificates were issued for one request", len(f.issued))
	}
	asked := f.asked[0]
	if asked.Protocol != pki.ProtocolSCEP || asked.Endpoint != label || !bytes.Equal(asked.CSR, csr) || asked.Grant.Principal().ID != "secret:1" {
		t.Errorf("the registration authority was asked %+v", asked)
	}
	other := device.send(t, request{kind: pkcsReq, id: "2", content: csr, to: f.to[0].certificate})
	post(t, s, other, device.recipient())
	if len(f.issued) != 2 {
		t.Errorf("%d certificates, of two transactions", len(f.issued))
	}
}

// TestOldRecipient: what was encrypted to the key before is still read.
func TestOldRecipient(t *testing.T) {
	f := newFake(t)
	f.to = append(f.to, newParty(t, newRSA(t, "before"), "RA"))
	device := newParty(t, newRSA(t, "device"), "device")
	for _, to := range f.to {
		certificateIn(t, post(t, f.server(), device.send(t, request{kind: pkcsReq, id: "1", content: newCSR(t, device.key, "device", "once"), to: to.certificate}), device.recipient()))
	}
}

// TestSigningKey: a key that does not decrypt gets its answer under the challenge (RFC
// 8894, 3.1).
func TestSigningKey(t *testing.T) {
	f := newFake(t)
	device := newParty(t, newEC(t), "device")
	message := device.send(t, request{kind: pkcsReq, id: "1", content: newCSR(t, device.key, "device", "once"), to: f.to[0].certificate})
	got := certificateIn(t, post(t, f.server(), message, cms.Key{Password: pki.NewSecret("once")}))
	if got.Subject.CommonName != "device" {
		t.Errorf("a certificate of %s", got.Subject)
	}
	without := device.send(t, request{kind: pkcsReq, id: "2", content: newCSR(t, device.key, "device", ""), to: f.to[0].certificate})
	if a := post(t, f.server(), without); a.status != statusFailure || a.failInfo != badAlg.value() {
		t.Errorf("%+v", a)
	}
	if len(f.issued) != 1 {
		t.Error("a certificate was issued that could not be handed over")
	}
}

// TestRefusals has each refusal that a CertRep carries, by its failInfo, and nothing is
// issued.
func TestRefusals(t *testing.T) {
	device, other := newParty(t, newRSA(t, "device"), "device"), newParty(t, newRSA(t, "other"), "other")
	good := newFake(t)
	to := good.to[0].certificate
	csr := newCSR(t, device.key, "device", "once")
	message := func(kind messageType, content []byte) []byte {
		return device.send(t, request{kind: kind, id: "1", content: content, to: to})
	}
	opened := "what the message carries cannot be opened"
	for name, c := range map[string]struct {
		message []byte
		enroll  error
		prove   error
		want    failInfo
		text    string
	}{
		"another recipient":       {message: device.send(t, request{kind: pkcsReq, id: "1", content: csr, to: other.certificate}), want: badMessageCheck, text: opened},
		"content that is no CSR":  {message: message(pkcsReq, []byte("no request")), want: badMessageCheck, text: opened},
		"a truncated CSR":         {message: message(pkcsReq, csr[:len(csr)-1]), want: badMessageCheck, text: opened},
		"a CSR of 64 KiB":         {message: message(pkcsReq, make([]byte, 65<<10)), want: badMessageCheck, text: opened},
		"a CSR that proves none":  {message: message(pkcsReq, flip(csr, len(csr)-1)), want: badMessageCheck, text: "cannot be opened"},
		"a CSR of another key":    {message: message(pkcsReq, newCSR(t, other.key, "device", "once")), want: badMessageCheck, text: "another key"},
		"a wrong challenge":       {message: message(pkcsReq, newCSR(t, device.key, "device", "twice")), want: badMessageCheck, text: "proves nobody"},
		"no challenge":            {message: message(pkcsReq, newCSR(t, device.key, "device", "")), want: badMessageCheck, text: "proves nobody"},
		"signature does not hold": {message: device.forge(t, to, printable(oidMessageType, "19"), printable(oidTransactionID, "1"), octets(oidSenderNonce, make([]byte, nonceSize))), want: badMessageCheck, text: "does not verify"},
		"a CertRep":               {message: message(certRep, csr), want: badRequest, text: "what the server answers"},
		"UpdateReq":               {message: message(18, csr), want: badRequest, text: "RenewalReq"},
		"an unknown type":         {message: message(99, csr), want: badRequest, text: "is not one"},
		"a short nonce":           {message: device.send(t, request{kind: pkcsReq, id: "1", nonce: []byte{1}, content: csr, to: to}), want: badRequest, text: "senderNonce"},
		"no nonce":                {message: device.send(t, request{content: csr, to: to, attributes: []cms.Attribute{printable(oidMessageType, "19"), printable(oidTransactionID, "1")}}), want: badRequest, text: "senderNonce"},
		"content without seal":    {message: device.sign(t, csr, []cms.Attribute{printable(oidMessageType, "19"), printable(oidTransactionID, "1"), octets(oidSenderNonce, make([]byte, nonceSize))}), want: badRequest, text: "CMS"},
		"refused by the profile":  {message: message(pkcsReq, csr), enroll: pki.Errorf(pki.PolicyRefused, "the profile says no"), want: badRequest, text: "the profile says no"},
		"a weak key":              {message: message(pkcsReq, csr), enroll: pki.Errorf(pki.BadKey, "the key is weak"), want: badAlg, text: "the key is weak"},
		"a key in use":            {message: message(pkcsReq, csr), enroll: pki.Errorf(pki.DuplicateKey, "another has it"), want: badRequest, text: "another has it"},
		"no quota":                {message: message(pkcsReq, csr), enroll: pki.Errorf(pki.QuotaExceeded, "used up"), want: badRequest, text: "used up"},
		"a suspended tenant":      {message: message(pkcsReq, csr), prove: pki.Errorf(pki.Forbidden, "suspended"), want: badRequest, text: "suspended"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.to, f.err, f.prove = good.to, c.enroll, c.prove
			a := post(t, f.server(), c.message)
			if a.status != statusFailure || a.failInfo != c.want.value() || !strings.Contains(a.text, c.text) || a.content != nil {
				t.Errorf("status %s, failInfo %s: %q", a.status, a.failInfo, a.text)
			}
			if a.id != "1" || !bytes.Equal(a.signer, f.signer.certificate) {
				t.Errorf("%+v", a)
			}
			if len(f.issued) > 0 {
				t.Error("a certificate was issued")
			}
		})
	}
}

// TestLater: what is to come again is said by HTTP, and what waits by PENDING.
func TestLater(t *testing.T) {
	device := newParty(t, newRSA(t, "device"), "device")
	for _, c := range []struct {
		err    error
		status int
	}{
		{pki.Errorf(pki.Unavailable, "not now"), 503},
		{pki.Errorf(pki.RateLimited, "too much"), 503},
		{errors.New("dial tcp 10.0.0.7: connection refused"), 500},
	} {
		f := newFake(t)
		f.err = c.err
		w := call(f.server(), http.MethodPost, operationURL, device.send(t, request{kind: pkcsReq, id: "1", content: newCSR(t, device.key, "device", "once"), to: f.to[0].certificate}))
		if w.Code != c.status || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "10.0.0.7") {
			t.Errorf("%v: HTTP %d: %s", c.err, w.Code, w.Body)
		}
	}
	f := newFake(t)
	f.err = pki.Errorf(pki.Pending, "others must approve")
	a := post(t, f.server(), device.send(t, request{kind: pkcsReq, id: "1", content: newCSR(t, device.key, "device", "once"), to: f.to[0].certificate}))
	if a.status != statusPending || a.failInfo != "" || a.content != nil {
		t.Errorf("%+v", a)
	}
}

// TestLegacy: what only the legacy switch takes enrols as legacy, and is refused without it;
// what needs no switch is as before.
func TestLegacy(t *testing.T) {
	device := newParty(t, newRSA(t, "device"), "device")
	csr := newCSR(t, device.key, "device", "once")
	for _, legacy := range []bool{false, true} {
		f := newFake(t)
		f.legacy = legacy
		to := f.to[0].certificate
		for name, c := range map[string]struct {
			message []byte
			legacy  bool
			want    failInfo
		}{
			"modern":        {device.send(t, request{kind: pkcsReq, id: "1", content: csr, to: to}), false, 0},
			"a short nonce": {device.send(t, request{kind: pkcsReq, id: "1", nonce: []byte{1}, content: csr, to: to}), true, badRequest},
			"DES":           {fromOracle(t, device, f.to[0], csr, pkcs7.EncryptionAlgorithmDESCBC), true, badAlg},
		} {
			a := post(t, f.server(), c.message, device.recipient())
			if c.legacy && !legacy {
				if a.status != statusFailure || a.failInfo != c.want.value() {
					t.Errorf("%s without the switch: %+v", name, a)
				}
				continue
			}
			certificateIn(t, a)
			want := pki.ProtocolSCEP
			if c.legacy {
				want = pki.ProtocolSCEPLegacy
			}
			if got := f.asked[len(f.asked)-1].Protocol; got != want {
				t.Errorf("%s is enrolled as %s", name, got)
			}
		}
	}
}
