package issuance_test

import (
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/issuance"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
	"github.com/pando-pki/pando/internal/tbs"
)

// order returns an order for a meter as the RA makes it, and its authority's line.
func order(t *testing.T, s *stack.Stack) *issuance.Order {
	t.Helper()
	id, err := s.Hierarchy.FindAuthority(t.Context(), "acme", "issuing")
	if err != nil {
		t.Fatal(err)
	}
	line, err := s.Hierarchy.Line(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	bound, err := s.Hierarchy.Bound(t.Context(), pki.ProfileRef{Tenant: "acme", Name: "meter", Version: 1}, line)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := tbs.ParseCSR(pandotest.CSR(t, pandotest.Key(t, pki.P256), pkix.Name{}))
	if err != nil {
		t.Fatal(err)
	}
	content, err := bound.Content(&policy.Input{CSR: csr, Device: "SM-1", Organization: "Example", Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return &issuance.Order{Line: line, Profile: bound, Content: content, Owner: "acme", Device: "SM-1"}
}

// What does not pass the lint is not intended: nothing reaches the store or a key.
func TestPrepareLints(t *testing.T) {
	s := newStack(t, stack.Config{})
	if _, err := issuance.Prepare(order(t, s), time.Now()); err != nil {
		t.Fatalf("a good order: %v", err)
	}
	for name, lie := range map[string]func(*issuance.Order){
		"outlives its issuer":       func(o *issuance.Order) { o.Content.NotAfter = o.Line.Parsed.NotAfter.Add(time.Second) },
		"ends before it begins":     func(o *issuance.Order) { o.Content.NotAfter = o.Content.NotBefore.Add(-time.Second) },
		"key usage of an authority": func(o *issuance.Order) { o.Content.KeyUsage |= tbs.KeyCertSign },
		"no subject and no SAN":     func(o *issuance.Order) { o.Content.Subject, o.Content.SAN = []byte{0x30, 0}, nil },
	} {
		o := order(t, s)
		lie(o)
		if _, err := issuance.Prepare(o, time.Now()); pki.KindOf(err) != pki.PolicyRefused {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Enroll.Enroll(t.Context(), meter(t, s, "SM-2")); err != nil {
		t.Error(err)
	}
}
