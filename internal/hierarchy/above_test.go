package hierarchy_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/hierarchy"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// rolled has an authority with issuers in every state, below a root that has them, too: of
// one the certificate is not there yet, of one it has expired, of three it is revoked.
type rolled struct {
	hierarchy.Store
	issuers map[pki.AuthorityID][]*pki.Issuer
	revoked map[pki.Serial]bool
}

func newRolled(t *testing.T, now time.Time) *rolled {
	r := &rolled{issuers: make(map[pki.AuthorityID][]*pki.Issuer), revoked: make(map[pki.Serial]bool)}
	for _, authority := range []pki.AuthorityID{"issuing", "root"} {
		for _, i := range []struct {
			name    string
			state   pki.IssuerState
			ends    time.Duration
			revoked bool
		}{
			{"pending", pki.IssuerPending, 2 * time.Hour, false},
			{"dropped", pki.IssuerDropped, 3 * time.Hour, false},
			{"next, revoked", pki.IssuerNext, 3 * time.Hour, true},
			{"next", pki.IssuerNext, 3 * time.Hour, false},
			{"active, revoked", pki.IssuerActive, 2 * time.Hour, true},
			{"earlier, revoked", pki.IssuerEarlier, time.Hour, true},
			{"earlier", pki.IssuerEarlier, time.Hour, false},
			{"earliest", pki.IssuerEarlier, 0, false},
		} {
			issuer := &pki.Issuer{ID: pki.IssuerID(string(authority) + i.name), State: i.state, NotAfter: now.Add(i.ends), Parent: "above"}
			if i.state != pki.IssuerPending {
				certificate := pandotest.NewRoot(t, string(authority)+" "+i.name, now).Certificate
				serial, err := pki.SerialFromBytes(certificate.SerialNumber.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				issuer.Certificate, r.revoked[serial] = certificate.Raw, i.revoked
			}
			r.issuers[authority] = append(r.issuers[authority], issuer)
		}
	}
	return r
}

func (r *rolled) Authority(_ context.Context, tenant pki.TenantID, id pki.AuthorityID) (*pki.Authority, error) {
	if tenant != "acme" {
		return nil, pki.Errorf(pki.NotFound, "no authority")
	}
	return &pki.Authority{ID: id, Parent: map[pki.AuthorityID]pki.AuthorityID{"issuing": "root"}[id]}, nil
}

func (r *rolled) Issuers(_ context.Context, _ pki.TenantID, id pki.AuthorityID) ([]*pki.Issuer, error) {
	return r.issuers[id], nil
}

// revocations is the part of a store that says what is revoked.
type revocations struct {
	revocation.Store
	*rolled
}

func (r revocations) Status(_ context.Context, issuer pki.IssuerID, serial pki.Serial) (s revocation.Status, err error) {
	if r.revoked[serial] && issuer == "above" {
		s.Revocation = &pki.Revocation{Serial: serial}
	}
	return s, nil
}

// TestAbove: clients get all certificates of the authorities above them that are published,
// have not expired and are not revoked, so that they follow from one issuer to the next
// (RFC 7030, 4.1.3); the active one they need in any case.
func TestAbove(t *testing.T) {
	now := time.Now()
	r := newRolled(t, now)
	s := hierarchy.New(hierarchy.Config{Store: r, Revocations: revocations{rolled: r}, Now: func() time.Time { return now }})
	found, err := s.Above(t.Context(), "acme", "issuing")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range found {
		got = append(got, pandotest.Parse(t, c).Subject.CommonName)
	}
	if diff := cmp.Diff([]string{"issuing next", "issuing active, revoked", "issuing earlier", "root next", "root active, revoked", "root earlier"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Above(t.Context(), "globex", "issuing"); pki.KindOf(err) != pki.NotFound {
		t.Errorf("another tenant's: %v", err)
	}
}
