package enroll_test

import (
	"context"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
)

// A deep directory takes every issuer for one below which there is room for
// authorities.
type deep struct{ enroll.Directory }

func (d deep) Bound(ctx context.Context, ref pki.ProfileRef, line *issuance.Line) (*policy.Bound, error) {
	version, err := d.ResolveProfile(ctx, ref)
	if err != nil {
		return nil, err
	}
	profile, err := policy.Parse([]byte(version.Source))
	if err != nil {
		return nil, err
	}
	return profile.Bind(ref, policy.IssuerParams{
		ID: line.Issuer.ID, Subject: line.Parsed.Subject, KeyID: line.Parsed.SubjectKeyID(), Algorithm: line.Parsed.Key.SignatureAlgorithm(),
		NotBefore: line.Parsed.NotBefore, NotAfter: line.Parsed.NotAfter, PathLen: -1, Shards: 1,
	})
}

// namedByRequest is a profile for authorities that takes their name from whoever
// asks.
const namedByRequest = `profile: anybody-ca
keys: {allow: [p256]}
validity: 1y
subject: [{type: CN, from: csr.subject.cn, check: name}]
basicConstraints: {ca: true}
keyUsage: {use: [keyCertSign]}
keyIdentifiers: [subject, authority]
`

// TestNoAuthorityAtEndpoint: an endpoint that came to bind a profile for
// authorities, past what CreateEndpoint checks, still issues no such certificate.
func TestNoAuthorityAtEndpoint(t *testing.T) {
	h := newHouse(t, "meter")
	version, err := h.Hierarchy.PublishProfile(t.Context(), h.grant(access.ManageProfiles), []byte(namedByRequest))
	if err != nil {
		t.Fatal(err)
	}
	ep, err := h.Store.Endpoint(t.Context(), "acme", "meter")
	if err != nil {
		t.Fatal(err)
	}
	was := *ep
	ep.Profile = version.ProfileRef
	if err := h.Store.UpdateEndpoint(t.Context(), &was, ep, nil, pki.Event{Tenant: "acme", Action: "test"}); err != nil {
		t.Fatal(err)
	}
	ra := enroll.New(enroll.Config{Store: h.Store, Directory: deep{h.Hierarchy}, CA: h.Issuance, Registry: h.Registry, Gate: h.Approvals, Keys: h.Keypool, Now: h.Now})
	csr := pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{CommonName: "Mine"})
	_, err = ra.Enroll(t.Context(), h.request("meter", csr))
	if pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), "is for authorities") {
		t.Errorf("a request for an authority: %v", err)
	}
}
