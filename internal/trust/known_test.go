package trust

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// A shelf has anchors and issuers, and counts how often a status is looked up.
type shelf struct {
	Store
	anchors []*Anchor
	issuers []*pki.Issuer
	revoked pki.IssuerID // parent of those whose certificates are
	looks   int
}

func (s *shelf) AllAnchors(context.Context) ([]*Anchor, error)     { return s.anchors, nil }
func (s *shelf) AllIssuers(context.Context) ([]*pki.Issuer, error) { return s.issuers, nil }

func (s *shelf) Status(_ context.Context, issuer pki.IssuerID, _ pki.Serial) (revocation.Status, error) {
	s.looks++
	if issuer == s.revoked {
		return revocation.Status{Known: true, Revocation: &pki.Revocation{}}, nil
	}
	return revocation.Status{Known: true}, nil
}

// TestKnownAnew: a reading parses what is new alone, and looks up one status of each issuer
// that is followed to, however many tenants trust its authority; what is gone is gone.
func TestKnownAnew(t *testing.T) {
	const tenants, others = 20, 30
	s := new(shelf)
	issuer := func(id, authority string) *pki.Issuer {
		i := &pki.Issuer{ID: pki.IssuerID(id), Authority: pki.AuthorityID(authority), Parent: pki.IssuerID("above " + id), State: pki.IssuerActive,
			Certificate: pandotest.NewRoot(t, id, time.Now().Add(-time.Hour)).Certificate.Raw}
		s.issuers = append(s.issuers, i)
		return i
	}
	first := issuer("first", "trusted")
	issuer("second", "trusted")
	for n := range others {
		issuer(fmt.Sprint("other ", n), fmt.Sprint("other ", n))
	}
	for n := range tenants {
		s.anchors = append(s.anchors, &Anchor{Tenant: pki.TenantID(fmt.Sprint("t", n)), Name: "own", Issuer: first.ID, Certificate: first.Certificate})
	}
	service := New(Config{Store: s, Now: time.Now})
	load := func(anchors int) *known {
		t.Helper()
		service.Forget()
		k, err := service.load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := len(k.anchors["t0"]); got != anchors {
			t.Errorf("t0 has %d anchors, want %d", got, anchors)
		}
		return k
	}
	before := load(2)
	if s.looks != 1 {
		t.Errorf("%d statuses were looked up", s.looks)
	}
	again := load(2)
	for i := range again.anchors["t1"] {
		if again.anchors["t1"][i].certificate != before.anchors["t1"][i].certificate {
			t.Error("a certificate was parsed again")
		}
	}
	if len(again.keys) != others+2 || len(again.issuers) != others+2 {
		t.Errorf("%d keys, %d issuers", len(again.keys), len(again.issuers))
	}
	s.revoked = "above second"
	load(1)
	s.revoked = ""
	load(2)
	s.anchors = s.anchors[1:]
	if k := load(0); len(k.anchors["t1"]) != 2 {
		t.Errorf("t1 has %d anchors", len(k.anchors["t1"]))
	}
	s.anchors, s.issuers = nil, s.issuers[:1]
	if k := load(0); len(k.certificates) != 0 || len(k.keys) != 1 {
		t.Errorf("%d certificates and %d keys are kept of what is gone", len(k.certificates), len(k.keys))
	}
}
