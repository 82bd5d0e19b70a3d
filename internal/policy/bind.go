package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// IssuerParams is what of an issuer goes into certificates.
type IssuerParams struct {
	ID        pki.IssuerID
	Authority string // its authority's name; "" in a ceremony, which knows none
	Mode      pki.Mode
	Subject   []byte                 // DER Name
	KeyID     []byte                 // its subject key identifier
	Algorithm tbs.SignatureAlgorithm // that it signs with
	NotBefore time.Time              // certificates stay inside; zero for a root's own
	NotAfter  time.Time              // inclusive
	PathLen   int                    // of its certificate, -1 none; a CA profile must go below
	StatusURL string                 // base without a slash at the end; "" leaves CRLDP and AIA out
	Shards    int                    // CRL shards, >= 1
	Deltas    bool                   // there are delta CRLs; then Shards is 1

	// Constraints are the values of the nameConstraints of its certificate and of those
	// above it.
	Constraints [][]byte
}

// Bound is a profile version compiled for one issuer: precomputed encoder parts.
// It is safe for concurrent use.
type Bound struct {
	ref      pki.ProfileRef
	profile  *Profile
	issuer   IssuerParams
	template *tbs.Template
	wants    []want   // the extensions in order, for Lint
	crldp    [][]byte // value of the CRLDP of each shard, for Lint
	passed   passed   // by zlint

	constraints []nameSpaces // nil for none
	vendor      tbs.Name     // the issuer's, where it is one of Matter's
}

// Bind compiles the profile for an issuer. It refuses, as PolicyRefused, a CA
// profile whose path length is not below the issuer's, an issuer that the profile is
// not for, and a profile that says what no certificate of the issuer may have: names
// outside of the name constraints above, another vendor id in Matter.
//
// Extensions stand in this order: basicConstraints, nameConstraints, keyUsage,
// extendedKeyUsage, certificatePolicies, subjectAltName, subjectKeyIdentifier,
// authorityKeyIdentifier, cRLDistributionPoints, freshestCRL,
// authorityInfoAccess, id-pkix-ocsp-nocheck, noRevAvail, and those without a key
// of their own as the profile lists them.
func (p *Profile) Bind(ref pki.ProfileRef, issuer IssuerParams) (*Bound, error) {
	if p.ca && issuer.PathLen >= 0 && (p.pathLen < 0 || p.pathLen >= issuer.PathLen) {
		return nil, pki.Errorf(pki.PolicyRefused, "profile %s: its path length must be below the issuer's, which is %d (RFC 5280, 4.2.1.9)", p.name, issuer.PathLen)
	}
	switch {
	case p.test && issuer.Mode != pki.Test:
		return nil, pki.Errorf(pki.PolicyRefused, "profile %s is for test authorities, and this one is for %s", p.name, cmp.Or(issuer.Mode, pki.Production))
	case issuer.Authority != "" && len(p.authorities) > 0 && !slices.Contains(p.authorities, issuer.Authority):
		return nil, pki.Errorf(pki.PolicyRefused, "profile %s is for the authorities %s alone", p.name, strings.Join(p.authorities, ", "))
	}
	b := &Bound{ref: ref, profile: p, issuer: issuer, vendor: vendorOf(issuer.Subject)}
	parts, err := b.parts()
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", p.name, err)
	}
	if b.constraints, err = parseConstraints(issuer.Constraints); err != nil {
		return nil, err
	}
	for _, check := range [...]func() error{b.checkFixed, b.checkFixedMatter} {
		if err := check(); err != nil {
			return nil, pki.Because(pki.KindOf(err), err, "profile %s: %s", p.name, pki.DetailOf(err))
		}
	}
	config := tbs.TemplateConfig{IssuerName: issuer.Subject, Algorithm: issuer.Algorithm, Parts: parts}
	if p.status.CRL && issuer.StatusURL != "" {
		for shard := range max(issuer.Shards, 1) {
			url := fmt.Sprintf("%s/crl/%s/%d.crl", issuer.StatusURL, issuer.ID, shard)
			config.CRLDP = append(config.CRLDP, url)
			b.crldp = append(b.crldp, distributionPoint(url))
		}
	}
	if b.template, err = tbs.NewTemplate(config); err != nil {
		return nil, fmt.Errorf("profile %s: %w", p.name, err)
	}
	for _, part := range parts {
		w, err := newWant(part)
		if err != nil {
			return nil, fmt.Errorf("profile %s: %w", p.name, err)
		}
		b.wants = append(b.wants, w)
	}
	return b, nil
}

// parts returns the extensions that the profile names, in order.
func (b *Bound) parts() ([]tbs.ExtensionPart, error) {
	p, issuer := b.profile, &b.issuer
	var parts []tbs.ExtensionPart
	constant := func(extension []byte, err error) error {
		parts = append(parts, tbs.ExtensionPart{Slot: tbs.Constant, DER: extension})
		return err
	}
	if p.basic {
		constant(tbs.BasicConstraints(p.ca, p.pathLen), nil)
	}
	if p.constraints != nil {
		constant(p.constraints, nil)
	}
	if p.usage != 0 {
		parts = append(parts, tbs.ExtensionPart{Slot: tbs.SlotKeyUsage, Critical: !p.usageLax})
	}
	if len(p.purposes) > 0 {
		if err := constant(tbs.ExtendedKeyUsage(p.purposesAre, p.purposes...)); err != nil {
			return nil, err
		}
	}
	if len(p.policies) > 0 {
		if err := constant(tbs.CertificatePolicies(p.policiesAre, p.policies...)); err != nil {
			return nil, err
		}
	}
	if len(p.san) > 0 {
		parts = append(parts, tbs.ExtensionPart{Slot: tbs.SlotSAN, Critical: p.sanCritical})
	}
	if p.subjectKey {
		parts = append(parts, tbs.ExtensionPart{Slot: tbs.SlotSKI})
	}
	if p.issuerKey {
		constant(tbs.AuthorityKeyID(issuer.KeyID), nil)
	}
	if p.status.CRL && issuer.StatusURL != "" {
		parts = append(parts, tbs.ExtensionPart{Slot: tbs.SlotCRLDP})
	}
	if p.status.Deltas && issuer.Deltas && issuer.StatusURL != "" {
		if err := constant(tbs.FreshestCRL(fmt.Sprintf("%s/crl/%s/0-delta.crl", issuer.StatusURL, issuer.ID))); err != nil {
			return nil, err
		}
	}
	if (p.status.OCSP || p.status.CAIssuers) && issuer.StatusURL != "" {
		var ocsp, caIssuers string
		if p.status.OCSP {
			ocsp = fmt.Sprintf("%s/ocsp/%s", issuer.StatusURL, issuer.ID)
		}
		if p.status.CAIssuers {
			caIssuers = fmt.Sprintf("%s/ca/%s.cer", issuer.StatusURL, issuer.ID)
		}
		constant(tbs.AuthorityInfoAccess(ocsp, caIssuers), nil)
	}
	if p.noCheck {
		constant(tbs.OCSPNoCheck(), nil)
	}
	if p.noRevAvail {
		constant(tbs.NoRevAvail(), nil)
	}
	for _, e := range p.others {
		if e.value.constant == nil {
			parts = append(parts, tbs.ExtensionPart{Slot: tbs.SlotValue, OID: e.oid, Critical: e.critical})
		} else if err := constant(tbs.RawExtension(e.oid, e.critical, e.value.constant)); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// Ref returns the profile version that Bind was given.
func (b *Bound) Ref() pki.ProfileRef { return b.ref }

// Profile returns the profile.
func (b *Bound) Profile() *Profile { return b.profile }

// Outlives reports whether a certificate that is issued now would end after its
// issuer does, and is refused for that. A profile that says "outlive: clip" has its
// certificates end with the issuer, on purpose.
func (b *Bound) Outlives(now time.Time) bool {
	w := b.profile.window
	return !w.clip && !b.issuer.NotAfter.IsZero() && w.validity.last(now).After(b.issuer.NotAfter)
}
