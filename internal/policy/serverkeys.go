package policy

import (
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// documentServerKeys says who may have a key that is made here.
type documentServerKeys struct {
	Plain bool   `yaml:"plain"`
	For   []word `yaml:"for"`
}

// serverKeys is what a profile says of keys that are made here.
type serverKeys struct {
	plain bool     // also without encryption of its own
	roles []string // of those who may ask; none is any that may enrol
}

// compileServerKeys reads whether keys are made here, and for whom.
func (p *Profile) compileServerKeys(doc *document) error {
	d := doc.ServerKeys
	if d == nil {
		return nil
	}
	rule := serverKeys{plain: d.Plain}
	for _, w := range d.For {
		switch {
		case pki.CheckSlug("role", w.text) != nil:
			return at(w.token, "whoever may have a key that is made here is named by a role, built-in or the tenant's own")
		case slices.Contains(rule.roles, w.text):
			return at(w.token, "this is said twice")
		case slices.Contains(access.Roles(), access.Role(w.text)) && !access.Role(w.text).Includes(access.Enroll):
			return at(w.token, "this role enrols nobody")
		}
		rule.roles = append(rule.roles, w.text)
	}
	switch {
	case p.ca:
		return pki.Errorf(pki.Malformed, "serverKeys: an authority's key is made by its keystore, and leaves it never")
	case p.SignsOCSP():
		return pki.Errorf(pki.Malformed, "serverKeys: OCSP responders are enrolled by the server itself, whose keystore has their keys")
	case p.pair != "":
		return pki.Errorf(pki.Malformed, "serverKeys: no protocol asks for both keys of a pair; leave out pair or serverKeys")
	case p.approvals != nil:
		return pki.Errorf(pki.Malformed, "serverKeys: a key that is made here is kept nowhere, also not until an enrolment is approved; leave out approvals or serverKeys")
	}
	p.serverKeys = &rule
	return nil
}

// ServerKeys reports whether the profile has keys made here for those who enrol, and
// whether such a key may be handed out without encryption of its own, under that of TLS.
func (p *Profile) ServerKeys() (made, plain bool) {
	return p.serverKeys != nil, p.serverKeys != nil && p.serverKeys.plain
}

// CheckServerKey refuses, as PolicyRefused, a key that is made here for a requester of
// a role; sealed says that it is encrypted for the requester besides TLS.
func (p *Profile) CheckServerKey(role string, sealed bool) error {
	switch rule := p.serverKeys; {
	case rule == nil:
		return pki.Errorf(pki.PolicyRefused, "the profile %s has no keys made here (serverKeys): make the key where it is used, and enrol with a request for it", p.name)
	case len(rule.roles) > 0 && !slices.Contains(rule.roles, role):
		return pki.Errorf(pki.PolicyRefused, "the profile %s has keys made here for %s, and for nobody else (serverKeys)", p.name, strings.Join(rule.roles, ", "))
	case !sealed && !rule.plain:
		return pki.Errorf(pki.PolicyRefused, "the profile %s has keys made here handed out encrypted alone (serverKeys): say in the request for which key or secret, by AsymmetricDecryptKeyIdentifier or DecryptKeyIdentifier", p.name)
	}
	return nil
}

// ServerKeyKind returns the kind of key to make for a request whose own key is of a
// kind: that kind, where the profile allows it, else the one that it prefers.
func (p *Profile) ServerKeyKind(asked pki.KeyKind) pki.KeyKind {
	if slices.Contains(p.keys.kinds, asked) {
		return asked
	}
	return p.keys.kinds[0]
}

// serverKeys compares who may have keys that are made here.
func (d *differ) serverKeys(before, after *serverKeys) {
	d.flag("serverKeys", "there", before != nil, after != nil, Widens)
	if before == nil || after == nil {
		return
	}
	d.flag("serverKeys.plain", "true", before.plain, after.plain, Widens)
	d.restriction("serverKeys.for", before.roles, after.roles)
}
