package policy

import (
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// Attributes of subjects in Matter (core specification, 6.1.1).
const (
	oidMatterVID = "1.3.6.1.4.1.37244.2.1"
	oidMatterPID = "1.3.6.1.4.1.37244.2.2"
)

// checkMatter refuses, as PolicyRefused, a subject with a vendor id whose vendor id is
// not that of the issuer, or whose product id is not, where the issuer's subject has
// one (core specification, 6.2.2). What of these the subject does not say is absent
// from it; where drawn says that it will come from elsewhere, it is not looked at.
func (b *Bound) checkMatter(subject tbs.Name, drawn func(oid string) bool) error {
	if b.vendor == nil || subject.Get(oidMatterVID) == "" && !drawn(oidMatterVID) {
		return nil
	}
	for _, x := range [...]struct{ oid, what string }{{oidMatterVID, "vendor"}, {oidMatterPID, "product"}} {
		want, got := b.vendor.Get(x.oid), subject.Get(x.oid)
		switch {
		case want == "" || want == got || drawn(x.oid):
		case got == "":
			return pki.Errorf(pki.PolicyRefused, "the subject has no %s id, and the issuer's is %.60q: Matter wants the same", x.what, want)
		default:
			return pki.Errorf(pki.PolicyRefused, "the subject has the %s id %.60q, and the issuer has %.60q: Matter wants the same", x.what, got, want)
		}
	}
	return nil
}

// checkFixedMatter does the same for what the profile says of every subject.
func (b *Bound) checkFixedMatter() error {
	var fixed tbs.Name
	drawn := make(map[string]bool)
	for _, a := range b.profile.subject {
		if a.literal == "" {
			drawn[a.oid] = true
		} else {
			fixed = append(fixed, tbs.Attribute{OID: a.oid, Value: a.literal})
		}
	}
	return b.checkMatter(fixed, func(oid string) bool { return drawn[oid] })
}

// vendorOf returns the issuer's name where it is one of Matter's, else nil.
func vendorOf(issuer []byte) tbs.Name {
	name, err := tbs.ParseName(issuer)
	if err != nil || name.Get(oidMatterVID) == "" {
		return nil
	}
	return name
}
