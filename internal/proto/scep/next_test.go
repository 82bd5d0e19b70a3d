package scep

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// rolled is a fake whose authority has issuers beside the active one.
type rolled struct {
	*fake
	next    *RA
	earlier []*RA
}

func (r *rolled) RA(ctx context.Context, name string) (*RA, error) {
	ra, err := r.fake.RA(ctx, name)
	if err == nil {
		ra.Next, ra.Earlier = r.next, r.earlier
	}
	return ra, err
}

func (r *rolled) server() *Server {
	s := r.fake.server()
	s.cfg.Authorities = r
	return s
}

// newRA returns the RA of another issuer than the fake's.
func newRA(t *testing.T, name string) (ra *RA, recipient party) {
	ca, signer, recipient := newParty(t, newEC(t), name), newParty(t, newRSA(t, name+" signer"), name+" RA"), newParty(t, newRSA(t, name), name+" RA")
	return &RA{Issuer: &pki.Issuer{ID: pki.IssuerID(name), Tenant: "demo", Shards: 4, Certificate: ca.certificate}, Chain: [][]byte{ca.certificate},
		Signer: *signer.signer(), Recipients: []cms.Key{recipient.recipient()}}, recipient
}

// TestGetNextCACert: what GetCACert will answer is signed by what signs now, and is told
// of while there is something to get.
func TestGetNextCACert(t *testing.T) {
	r := &rolled{fake: newFake(t)}
	ask := func(operation string) (int, string, []byte) {
		w := call(r.server(), http.MethodGet, prefix+label+"?operation="+operation, nil)
		return w.Code, w.Header().Get("Content-Type"), w.Body.Bytes()
	}
	if code, _, _ := ask("GetNextCACert"); code != http.StatusNotFound {
		t.Errorf("without a next issuer: %d", code)
	}
	r.next, _ = newRA(t, "next")
	if _, _, caps := ask("GetCACaps"); !strings.Contains(string(caps), "GetNextCACert\n") {
		t.Errorf("capabilities %q", caps)
	}
	code, contentType, body := ask("GetNextCACert")
	if code != http.StatusOK || contentType != "application/x-x509-next-ca-cert" {
		t.Fatalf("%d, %s", code, contentType)
	}
	signed, err := cms.ParseSigned(body)
	if err != nil {
		t.Fatal(err)
	}
	by, err := signed.Verify(0, cms.VerifyOptions{})
	if err != nil || len(signed.Signers) != 1 || !bytes.Equal(by, r.signer.certificate) {
		t.Errorf("signed by another than what signs answers: %v", err)
	}
	inner, err := cms.ParseSigned(signed.Content)
	if err != nil || len(inner.Signers) != 0 {
		t.Fatalf("the content is no certs-only message: %v", err)
	}
	got, want := make(map[string]bool), make(map[string]bool)
	for _, c := range inner.Certificates {
		got[string(c)] = true
	}
	for _, c := range [][]byte{r.next.Signer.Certificate, r.next.Recipients[0].Certificate, r.next.Chain[0]} {
		want[string(c)] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if w := call(r.server(), http.MethodPost, prefix+label+"?operation=GetNextCACert", nil); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("by POST: %d", w.Code)
	}
}

// TestEarlierRA: a client that knows the certificates of an issuer before is answered by
// that one's RA; one that knows nobody's is refused, and so is one that goes ahead of the
// switch (RFC 8894, 5.1, figure 9): the next issuer signs no certificates of devices yet.
func TestEarlierRA(t *testing.T) {
	r := &rolled{fake: newFake(t)}
	_, unknown := newRA(t, "unknown")
	one, _ := newRA(t, "one")
	two, known := newRA(t, "two")
	next, ahead := newRA(t, "next")
	r.earlier, r.next = []*RA{one, two}, next
	device := newParty(t, newRSA(t, "device"), "device 1")
	send := func(to []byte) (*answer, []byte) {
		message := device.send(t, request{kind: pkcsReq, id: "1", content: newCSR(t, device.key, "device 1", "once"), to: to})
		w := call(r.server(), http.MethodPost, operationURL, message)
		signed, err := cms.ParseSigned(w.Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		by, err := signed.Verify(0, cms.VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return read(t, w.Body.Bytes(), device.recipient()), by
	}
	for name, c := range map[string]struct{ to, by []byte }{
		"an issuer before": {known.certificate, two.Signer.Certificate},
		"the active one":   {r.to[0].certificate, r.signer.certificate},
	} {
		a, by := send(c.to)
		certificateIn(t, a)
		if !bytes.Equal(by, c.by) {
			t.Errorf("%s: another signs", name)
		}
	}
	// Certificates and CRLs of either issuer are had by whoever knows one.
	shard := pki.Serial{19: 4}.Shard(4)
	r.crls = map[revocation.List][]byte{{Issuer: "two", Shard: shard}: {0x30, 0}, {Issuer: "1", Shard: shard}: {0x30, 0}}
	for _, to := range [][]byte{known.certificate, r.to[0].certificate} {
		for _, issuer := range [][]byte{two.Issuer.Certificate, r.ca.certificate} {
			content := named(parse(t, issuer).RawSubject, pki.Serial{19: 4})
			if a := post(t, r.server(), device.send(t, request{kind: getCRL, id: "2", content: content, to: to}), device.recipient()); a.status != statusSuccess {
				t.Errorf("CRL of %s: %+v", parse(t, issuer).Subject, a)
			}
		}
	}
	for _, to := range []party{unknown, ahead} {
		if a, by := send(to.certificate); a.status != statusFailure || a.failInfo != badMessageCheck.value() || !bytes.Equal(by, r.signer.certificate) {
			t.Errorf("to %s: %+v", parse(t, to.certificate).Subject, a)
		}
	}
}
