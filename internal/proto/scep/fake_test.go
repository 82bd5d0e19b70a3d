package scep

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/visits"
)

const label = "demo.device-scep"

// A fake is all that a Server asks: it issues what is asked for, once for each
// idempotency key.
type fake struct {
	t      testing.TB
	ca     party
	signer party
	to     []party // recipients
	err    error   // of Enroll
	legacy bool    // of the RA
	admit  error   // of Admit
	prove  error   // of Prove, whatever is presented

	again error // of a poll

	mu           sync.Mutex
	issued       map[string][]byte // by idempotency key
	asked        []enroll.Request
	refused      []enroll.Refusal
	proved       []enrolauth.Presented
	transactions map[transactionKey]*Transaction
	certificates map[pki.Serial]*pki.Certificate
	crls         map[revocation.List][]byte
	device       pki.DeviceID // whom certificates prove
	plant        bool         // certificates prove somebody who is no device
	revoked      error        // of Answers

	old     *pki.Certificate // that a renewal goes on from
	renewal *pki.Certificate // that the request renewed, as it is kept, led to
	renewed []byte
}

type transactionKey struct {
	id     string
	signer [32]byte
}

func newFake(t testing.TB) *fake {
	return &fake{
		t: t, ca: newParty(t, newEC(t), "CA"), signer: newParty(t, newRSA(t, "signer"), "RA"),
		to: []party{newParty(t, newRSA(t, "ra"), "RA")}, issued: make(map[string][]byte), transactions: make(map[transactionKey]*Transaction),
	}
}

func (f *fake) server() *Server {
	return New(Config{RA: f, Authorities: f, Prover: f, Store: f, Certificates: f, CRLs: f, Sealer: f, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
}

func (f *fake) RA(_ context.Context, name string) (*RA, error) {
	if name != label {
		return nil, pki.Errorf(pki.NotFound, "no endpoint %.90q", name)
	}
	ra := &RA{Issuer: &pki.Issuer{ID: "1", Tenant: "demo", Shards: 4, Certificate: f.ca.certificate}, Chain: [][]byte{f.ca.certificate}, Signer: *f.signer.signer(), Legacy: f.legacy}
	for _, p := range f.to {
		ra.Recipients = append(ra.Recipients, p.recipient())
	}
	return ra, nil
}

func (f *fake) Prove(_ context.Context, name string, p enrolauth.Presented) (access.Principal, error) {
	f.proved = append(f.proved, p)
	if f.prove != nil {
		return access.Principal{}, f.prove
	}
	if p.Asked != "" {
		return access.Principal{Tenant: "demo", ID: p.Asked, Grants: access.Given(access.RAOperator)}, f.again
	}
	if f.plant {
		return access.Principal{Tenant: "demo", ID: "certificate:1", Proofs: pki.ByCertificate, Grants: access.Given(access.FactoryOperator)}, nil
	}
	if f.device != "" && p.Secret.IsZero() {
		return access.Principal{Tenant: "demo", ID: "certificate:1", Proofs: pki.ByCertificate, Device: f.device, Certificate: f.old, Grants: access.Given(access.Device)}, nil
	}
	if name != label || p.Secret.Reveal() != "once" && !p.Renews {
		return access.Principal{}, pki.Errorf(pki.Unauthenticated, "what was presented proves nobody at this endpoint")
	}
	return access.Principal{Tenant: "demo", ID: "secret:1", Grants: access.Given(access.RAOperator)}, nil
}

// Seal makes something else of a text.
func (f *fake) Seal(label string, plain []byte) []byte { return append([]byte(label+"\x00"), plain...) }

func (f *fake) Unseal(label string, sealed []byte) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, []byte(label+"\x00"))
	if !ok {
		return nil, pki.Errorf(pki.Internal, "sealed for something else")
	}
	return plain, nil
}

func (f *fake) Admit(context.Context, string, string) error { return f.admit }

func (f *fake) Await(context.Context, access.Principal, enrolauth.Awaited) (func(context.Context, error) error, error) {
	return func(context.Context, error) error { return nil }, nil
}

func (f *fake) Refused(context.Context, access.Principal, enrolauth.Awaited, error) error { return nil }

func (f *fake) Issued(_ context.Context, _ access.Permit, _ pki.Protocol, _ pki.DeviceID, idempotency string) (*pki.Certificate, error) {
	if got := f.issued[idempotency]; got != nil {
		return &pki.Certificate{DER: got}, nil
	}
	return nil, pki.Errorf(pki.NotFound, "nothing was issued")
}

func (f *fake) BeginSCEP(_ context.Context, t *Transaction) (*Transaction, error) {
	for at, other := range f.transactions {
		if at.id == t.ID && (at.signer == t.Signer && other.Key != t.Key || at.signer != t.Signer && other.Principal == t.Principal) {
			return nil, pki.Errorf(pki.Conflict, "the transaction is that of another key")
		}
	}
	at := transactionKey{t.ID, t.Signer}
	if f.transactions[at] == nil {
		f.transactions[at] = t
	}
	got := *f.transactions[at]
	return &got, nil
}

func (f *fake) KeepSCEP(_ context.Context, t *Transaction) error {
	f.transactions[transactionKey{t.ID, t.Signer}] = t
	return nil
}

func (f *fake) SCEPTransaction(_ context.Context, tenant pki.TenantID, endpoint, id string, signer [32]byte) (*Transaction, error) {
	if t := f.transactions[transactionKey{id, signer}]; t != nil && tenant == t.Tenant && endpoint == t.Endpoint {
		return t, nil
	}
	return nil, pki.Errorf(pki.NotFound, "no transaction %.60q", id)
}

func (f *fake) Certificate(_ context.Context, tenant pki.TenantID, issuer pki.IssuerID, serial pki.Serial) (*pki.Certificate, error) {
	if c := f.certificates[serial]; c != nil && issuer == "1" {
		return c, nil
	}
	return nil, pki.Errorf(pki.NotFound, "no certificate %s", serial)
}

func (f *fake) RenewalOf(_ context.Context, old *pki.Certificate, request []byte) (*pki.Certificate, error) {
	if f.renewal != nil && bytes.Equal(request, f.renewed) {
		return f.renewal, nil
	}
	return nil, pki.Errorf(pki.NotFound, "no renewal of %s", old.Serial)
}

func (f *fake) CRL(_ context.Context, list revocation.List) (*revocation.CRL, error) {
	if crl := f.crls[list]; crl != nil {
		return &revocation.CRL{DER: crl}, nil
	}
	return nil, pki.Errorf(pki.NotFound, "no CRL %s", list)
}

func (f *fake) Enroll(_ context.Context, r enroll.Request) (*pki.Enrollment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r)
	if f.err != nil {
		return nil, f.err
	}
	if got := f.issued[r.Idempotency]; got != nil {
		return &pki.Enrollment{Certificate: &pki.Certificate{DER: got}, Repeated: true}, nil
	}
	csr, err := x509.ParseCertificateRequest(r.CSR)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(int64(len(f.issued) + 2)), Subject: csr.Subject, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	got, err := x509.CreateCertificate(rand.Reader, template, parse(f.t, f.ca.certificate), csr.PublicKey, f.ca.key)
	if err != nil {
		return nil, err
	}
	f.issued[r.Idempotency] = got
	return &pki.Enrollment{Certificate: &pki.Certificate{DER: got}}, nil
}

func (f *fake) Answers(context.Context, pki.IssuerID, pki.Serial) (bool, error) {
	return time.Now().Before(f.renewal.NotAfter), f.revoked
}

func (f *fake) NoteRefusal(_ context.Context, r enroll.Refusal, err error) error {
	if visits.IsNoted(err) {
		return err
	}
	if r.Why == "" {
		r.Why = pki.DetailOf(err)
	}
	f.refused = append(f.refused, r)
	return visits.Noted(err)
}

// call sends a request to a server.
func call(s *Server, method, target string, body []byte) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(method, target, bytes.NewReader(body)))
	return w
}

const operationURL = prefix + label + "?operation=PKIOperation"

// post sends a message and returns what answers it.
func post(t testing.TB, s *Server, message []byte, keys ...cms.Key) *answer {
	t.Helper()
	w := call(s, http.MethodPost, operationURL, message)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/x-pki-message" {
		t.Fatalf("HTTP %d, %q: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	return read(t, w.Body.Bytes(), keys...)
}

func messageQuery(message []byte) string {
	return operationURL + "&message=" + url.QueryEscape(base64.StdEncoding.EncodeToString(message))
}

// certificateIn returns the one certificate that a success carries.
func certificateIn(t testing.TB, a *answer) *x509.Certificate {
	t.Helper()
	if a.status != statusSuccess {
		t.Fatalf("status %s, failInfo %s: %s", a.status, a.failInfo, a.text)
	}
	signed, err := cms.ParseSigned(a.content)
	if err != nil || len(signed.Certificates) != 1 || len(signed.Signers) != 0 {
		t.Fatalf("%d certificates, %v", len(signed.Certificates), err)
	}
	return parse(t, signed.Certificates[0])
}
