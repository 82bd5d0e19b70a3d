package access

import (
	"cmp"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// Combine returns whoever gave two proofs, the second of a certificate: it enrols what
// either of them may enrol by itself, and nothing else. It is Unauthenticated where they
// do not agree on who it is. The ID is that of the first, which with the second's
// certificates proves it again.
func Combine(p, certified Principal) (Principal, error) {
	disagree := p.Tenant != certified.Tenant || p.system || certified.system ||
		p.Device != "" && certified.Device != "" && p.Device != certified.Device
	if disagree {
		return Principal{}, pki.Errorf(pki.Unauthenticated, "the proofs are not of one device in one organisation")
	}
	both := p
	both.Name = p.Name + " with " + certified.ID
	both.Device = cmp.Or(p.Device, certified.Device)
	both.Subject, both.Names, both.Presented = certified.Subject, certified.Names, certified.Presented
	both.Certificate, both.Late = certified.Certificate, certified.Late
	both.Foreign = certified.Foreign && p.Device == ""
	both.Expires = earlier(p.Expires, certified.Expires)
	both.Proofs |= certified.Proofs
	role := Enroller
	if both.Device != "" {
		role = Device
	}
	both.Grants = nil
	if where := common(p, certified); len(where) > 0 { // Given makes none the whole tenant
		both.Grants = Given(role, where...)
	}
	return both, nil
}

// common returns where both may enrol.
func common(a, b Principal) (scopes []Scope) {
	for _, x := range a.enrols() {
		for _, y := range b.enrols() {
			if x.Meets(y) {
				scopes = append(scopes, Scope{cmp.Or(x.Authority, y.Authority), cmp.Or(x.ProductLine, y.ProductLine), cmp.Or(x.Site, y.Site), cmp.Or(x.Endpoint, y.Endpoint)})
			}
		}
	}
	return scopes
}

// enrols returns the scopes on which a principal may enrol.
func (p Principal) enrols() (scopes []Scope) {
	for i := range p.Grants {
		if g := &p.Grants[i]; g.includes(Enroll) && (g.Role != Device || p.Device != "") {
			scopes = append(scopes, g.Scope)
		}
	}
	return scopes
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
