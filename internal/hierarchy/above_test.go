package hierarchy_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pki"
)

// rolled has an authority with issuers in every state, below a root that has them, too: of
// one the certificate is not there yet, of one it has expired.
type rolled struct {
	hierarchy.Store
	now time.Time
}

func (r rolled) Authority(_ context.Context, tenant pki.TenantID, id pki.AuthorityID) (*pki.Authority, error) {
	if tenant != "acme" {
		return nil, pki.Errorf(pki.NotFound, "no authority")
	}
	return &pki.Authority{ID: id, Parent: map[pki.AuthorityID]pki.AuthorityID{"issuing": "root"}[id]}, nil
}

func (r rolled) Issuers(_ context.Context, _ pki.TenantID, id pki.AuthorityID) ([]*pki.Issuer, error) {
	return []*pki.Issuer{
		{State: pki.IssuerPending, NotAfter: r.now.Add(2 * time.Hour)},
		{State: pki.IssuerDropped, Certificate: []byte(id + " dropped"), NotAfter: r.now.Add(3 * time.Hour)},
		{State: pki.IssuerNext, Certificate: []byte(id + " next"), NotAfter: r.now.Add(3 * time.Hour)},
		{State: pki.IssuerActive, Certificate: []byte(id + " new"), NotAfter: r.now.Add(2 * time.Hour)},
		{State: pki.IssuerEarlier, Certificate: []byte(id + " old"), NotAfter: r.now.Add(time.Hour)},
		{State: pki.IssuerEarlier, Certificate: []byte(id + " oldest"), NotAfter: r.now},
	}, nil
}

// TestAbove: clients get all certificates of the authorities above them that are published
// and have not expired, so that they follow from one issuer to the next (RFC 7030, 4.1.3).
func TestAbove(t *testing.T) {
	now := time.Now()
	s := hierarchy.New(hierarchy.Config{Store: rolled{now: now}, Now: func() time.Time { return now }})
	found, err := s.Above(t.Context(), "acme", "issuing")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range found {
		got = append(got, string(c))
	}
	if diff := cmp.Diff([]string{"issuing next", "issuing new", "issuing old", "root next", "root new", "root old"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Above(t.Context(), "globex", "issuing"); pki.KindOf(err) != pki.NotFound {
		t.Errorf("another tenant's: %v", err)
	}
}
