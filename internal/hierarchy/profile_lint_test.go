package hierarchy_test

import (
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pandotest/stack"
	"github.com/pando-pki/pando/internal/pki"
)

// TestPublishLints holds that a profile whose certificates would not be signed is not
// published, and one that excepts the rule is.
func TestPublishLints(t *testing.T) {
	const inconsistent = `profile: inconsistent
keys: {allow: [p256]}
validity: 1y
subject: [{type: CN, from: device.id}]
keyUsage: {use: [keyAgreement]}
extendedKeyUsage: {use: [codeSigning]}
keyIdentifiers: [subject, authority]
`
	const rule = "e_key_usage_and_extended_key_usage_inconsistent"
	s := stack.New(t, stack.Config{})
	s.AddTenant(t, "acme")
	g := s.Permit(t, "acme", access.ManageProfiles)
	if _, err := s.Hierarchy.PublishProfile(t.Context(), g, []byte(inconsistent)); pki.KindOf(err) != pki.PolicyRefused || !strings.Contains(pki.DetailOf(err), rule) {
		t.Errorf("published, or refused without the rule's name: %v", err)
	}
	excepted := inconsistent + "lint: {except: [{rule: " + rule + ", because: its ecosystem asks for both}]}\n"
	if v, err := s.Hierarchy.PublishProfile(t.Context(), g, []byte(excepted)); err != nil || v.Version != 1 {
		t.Errorf("%v, %v", v, err)
	}
}
