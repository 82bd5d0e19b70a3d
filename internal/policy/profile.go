package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/approval"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A Profile is a parsed and checked profile document. It is immutable.
type Profile struct {
	name        string
	description string
	test        bool     // for test authorities only
	authorities []string // names of those it is for; none is any
	strict      bool
	rules       []rule
	pair        string // the profile that it is issued together with; "" for none
	approvals   *approval.Rule
	quota       int64 // 0: it says none
	bound       bool  // to the TLS connection that it came by
	keys        keyRule
	shared      bool
	sameKey     bool
	grace       time.Duration // for so long after its end a certificate is renewed
	serverKeys  *serverKeys   // nil: no keys are made here
	window      window
	subject     []attribute
	san         []sanRule
	sanRequired bool
	sanCritical bool

	basic       bool // basicConstraints is there
	ca          bool
	pathLen     int    // -1: none
	constraints []byte // the nameConstraints extension; nil for none
	usage       tbs.KeyUsage
	usageLax    bool         // not critical
	usageRSA    tbs.KeyUsage // also, for RSA keys
	purposes    []string     // OIDs
	purposesAre bool         // critical
	policies    []tbs.Policy
	policiesAre bool // critical
	subjectKey  bool
	issuerKey   bool
	shortKeyID  bool // RFC 5280, 4.2.1.2, method 2
	status      documentStatus
	noCheck     bool
	noRevAvail  bool
	others      []extension
	knownVaries bool // one of them varies that zlint has rules for
	lintExcept  []exception
	needsDevice bool
	defaults    []Default
}

// Parse reads a profile strictly: unknown keys, duplicate keys, wrong values and
// what contradicts itself or RFC 5280 are Malformed errors, with line and caret
// where they have a place.
func Parse(source []byte) (*Profile, error) {
	doc, err := read(source)
	if err != nil {
		return nil, err
	}
	if doc.Profile.text == "" {
		return nil, pki.Errorf(pki.Malformed, "a profile begins with its name: profile")
	}
	if pki.CheckSlug("profile", doc.Profile.text) != nil {
		return nil, at(doc.Profile.token, "a name has 1 to 40 characters of a-z, 0-9 and inner hyphens")
	}
	if !isSeen(strings.ReplaceAll(doc.Description, "\n", "")) {
		return nil, pki.Errorf(pki.Malformed, unseenText)
	}
	p := &Profile{name: doc.Profile.text, description: doc.Description, pathLen: -1, defaults: defaultsOf(doc)}
	for _, compile := range []func(*document) error{p.compileScope, p.compileKeys, p.compileWindow, p.compileNames, p.compileExtensions, p.compileApprovals, p.compileQuota, p.compileServerKeys} {
		if err := compile(doc); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// compileScope reads what the profile is for and what it asks of requests.
func (p *Profile) compileScope(doc *document) (err error) {
	if p.test, err = choose(doc.Mode, "any", "test"); err != nil {
		return err
	}
	for _, w := range doc.Authorities {
		if pki.CheckSlug("authority", w.text) != nil {
			return at(w.token, "an authority is named by its name")
		}
		p.authorities = append(p.authorities, w.text)
	}
	p.strict = doc.Strict
	if p.pair = doc.Pair.text; p.pair != "" && (pki.CheckSlug("profile", p.pair) != nil || p.pair == p.name) {
		return at(doc.Pair.token, "the other profile of the pair is named by its name")
	}
	if p.bound, err = choose(doc.Binding, "none", "tls"); err != nil {
		return err
	}
	p.rules, err = compileRules(doc.Rules)
	return err
}

func (p *Profile) compileKeys(doc *document) (err error) {
	if p.keys, err = compileKeys(doc.Keys.Allow); err != nil {
		return err
	}
	if p.shared, err = choose(doc.Keys.Reuse, "per-device", "shared"); err != nil {
		return err
	}
	if p.sameKey, err = choose(doc.Keys.Renew.Key, "new-key", "same-key"); err != nil {
		return err
	}
	return p.compileGrace(doc.Keys.Renew.Grace)
}

// maxGrace bounds how late a certificate is renewed.
const maxGrace = 5 * 366 * 24 * time.Hour

func (p *Profile) compileGrace(grace word) (err error) {
	if grace.text == "" {
		return nil
	}
	if p.grace, err = pki.ParseDuration(grace.text); err != nil || p.grace <= 0 || p.grace > maxGrace {
		return at(grace.token, "a grace is a time as 90d or 12h, of at most 5 years")
	}
	if !p.sameKey {
		return at(grace.token, "after its end a certificate is renewed with its own key: say key: same-key beside it")
	}
	return nil
}

// choose reports whether w is the second word; no word means the first.
func choose(w word, usual, other string) (bool, error) {
	switch w.text {
	case "", usual:
		return false, nil
	case other:
		return true, nil
	}
	return false, at(w.token, "this is "+usual+" or "+other)
}

func (p *Profile) compileWindow(doc *document) (err error) {
	if doc.Validity.text == "" {
		return pki.Errorf(pki.Malformed, "a profile says its validity, as 90d")
	}
	if p.window.validity, err = parsePeriod(doc.Validity.text); err != nil {
		return at(doc.Validity.token, pki.DetailOf(err))
	}
	if doc.Backdate.text != "" {
		back, err := parsePeriod(doc.Backdate.text)
		if err != nil || back.clock == 0 || back.clock > 72*time.Hour {
			return at(doc.Backdate.token, "backdating is a number and h, min or s, up to 72h")
		}
		p.window.backdate = back.clock
		if some := time.Unix(0, 0).UTC(); p.window.validity.last(some).Before(some.Add(back.clock)) {
			return at(doc.Backdate.token, "backdating is shorter than the validity; a certificate would have expired when it is issued")
		}
	}
	p.window.clip, err = choose(doc.Outlive, "refuse", "clip")
	return err
}

func (p *Profile) compileNames(doc *document) (err error) {
	if p.subject, err = compileSubject(doc.Subject); err != nil {
		return err
	}
	if p.san, err = compileSAN(&doc.SAN); err != nil {
		return err
	}
	p.sanRequired, p.sanCritical = doc.SAN.Required, doc.SAN.Critical
	if !p.subjectIsSure() && len(p.san) == 0 {
		return pki.Errorf(pki.Malformed, "the subject can be empty and there is no san to name it (RFC 5280, 4.1.2.6)")
	}
	return nil
}

// isDevice reports whether the value is drawn from the device and needs to be there.
func (v *value) isDevice() bool { return v.from.device && !v.optional }

// anyDevice reports whether an attribute is.
func anyDevice(attributes []attribute) bool {
	return slices.ContainsFunc(attributes, func(a attribute) bool { return a.isDevice() })
}

// isDevice reports whether a leaf of the value is.
func (v *asn1Value) isDevice() bool {
	return v.leaf != nil && v.leaf.isDevice() || slices.ContainsFunc(v.children, func(c asn1Value) bool { return c.isDevice() })
}

// drawsOnDevice reports whether the profile cannot do without a device.
func (p *Profile) drawsOnDevice() bool {
	return anyDevice(p.subject) ||
		slices.ContainsFunc(p.san, func(r sanRule) bool {
			return r.isDevice() || anyDevice(r.name) || r.other != nil && r.other.isDevice()
		}) ||
		slices.ContainsFunc(p.others, func(e extension) bool { return e.value.isDevice() })
}

// subjectIsSure reports whether the subject has at least one attribute always.
func (p *Profile) subjectIsSure() bool {
	return slices.ContainsFunc(p.subject, func(a attribute) bool { return !a.optional })
}

func (p *Profile) compileExtensions(doc *document) (err error) {
	if b := doc.BasicConstraints; b != nil {
		p.basic, p.ca = true, b.CA
		if b.PathLength != nil {
			p.pathLen = *b.PathLength
		}
	}
	if u := doc.KeyUsage; u != nil {
		if p.usage, err = compileUsage(u.Use); err != nil {
			return err
		}
		if p.usageRSA, err = compileUsage(u.RSA); err != nil {
			return err
		}
		p.usageLax = u.Critical != nil && !*u.Critical
		if p.usage == 0 {
			return pki.Errorf(pki.Malformed, "keyUsage: use names at least one (RFC 5280, 4.2.1.3)")
		}
	}
	if e := doc.ExtendedKeyUsage; e != nil {
		if p.purposes, err = compilePurposes(e.Use); err != nil {
			return err
		}
		p.purposesAre = e.Critical
	}
	if p.policies, err = compilePolicies(doc.Policies.Use); err != nil {
		return err
	}
	p.policiesAre = doc.Policies.Critical
	if doc.NameConstraints != nil {
		if p.constraints, err = compileConstraints(doc.NameConstraints); err != nil {
			return err
		}
	}
	if p.others, err = compileOthers(doc.Extensions); err != nil {
		return err
	}
	p.knownVaries = slices.ContainsFunc(p.others, func(e extension) bool {
		return e.value.constant == nil && (strings.HasPrefix(e.oid, "2.5.29.") || strings.HasPrefix(e.oid, "1.3.6.1.5.5.7.1."))
	})
	if p.lintExcept, err = compileLint(doc.Lint.Except); err != nil {
		return err
	}
	if p.shortKeyID, err = choose(doc.KeyIdentifiers.Method, "sha1", "short"); err != nil {
		return err
	}
	for _, w := range doc.KeyIdentifiers.Use {
		switch w.text {
		case "subject":
			p.subjectKey = true
		case "authority":
			p.issuerKey = true
		default:
			return at(w.token, "a key identifier is subject or authority")
		}
	}
	p.status, p.noCheck, p.noRevAvail = doc.Status, doc.OCSPNoCheck, doc.NoRevAvail
	p.needsDevice = p.drawsOnDevice()
	return p.checkExtensions()
}

// checkExtensions refuses extensions that contradict each other.
func (p *Profile) checkExtensions() error {
	refuse := func(format string, args ...any) error { return pki.Errorf(pki.Malformed, format, args...) }
	for _, kind := range p.keys.kinds {
		if misfit(kind, p.usageFor(kind)) != 0 {
			return refuse("keyUsage: a key of kind %s, which keys allows, cannot serve it (RFC 3279, 5480, 8410, 8813, 9881, 9909)", kind)
		}
	}
	switch signs := (p.usage|p.usageRSA)&tbs.KeyCertSign != 0; {
	case p.ca && p.usage&tbs.KeyCertSign == 0 || !p.ca && signs:
		return refuse("keyUsage: keyCertSign goes with basicConstraints of a CA and only with it (RFC 5280, 4.2.1.9)")
	case p.pathLen < -1 || p.pathLen > 16 || p.pathLen >= 0 && !p.ca:
		return refuse("basicConstraints: a CA has a pathLength from 0 to 16, another certificate none (RFC 5280, 4.2.1.9)")
	case !p.ca && !p.SignsOCSP() && slices.ContainsFunc(p.keys.kinds, func(k pki.KeyKind) bool { return strings.HasSuffix(string(k), pssSuffix) }):
		return refuse("keys: how an RSA key signs is said of authorities and OCSP responders alone; take the kind without %s", pssSuffix)
	case !p.ca && slices.Contains(p.keys.kinds, pki.SLHDSA):
		return refuse("keys: %s is for CA certificates alone: a signature takes it half a second", pki.SLHDSA)
	case !p.alwaysExtends():
		return refuse("a certificate of version 3 has at least one extension always; keyIdentifiers: [authority] is one (RFC 5280, 4.1.2.1)")
	case p.constraints != nil && !p.ca:
		return refuse("nameConstraints: they are for CA certificates alone (RFC 5280, 4.2.1.10)")
	case p.policiesAre && len(p.policies) == 0:
		return refuse("policies: they are critical but there are none")
	case p.noRevAvail && (p.ca || p.status.CRL || p.status.Deltas || p.status.OCSP):
		return refuse("noRevAvail: it is for end entities whose status is not published (RFC 9608, 3)")
	case (p.usage|p.usageRSA)&(tbs.EncipherOnly|tbs.DecipherOnly) != 0 && p.usage&tbs.KeyAgreement == 0:
		return refuse("keyUsage: encipherOnly and decipherOnly go with keyAgreement (RFC 5280, 4.2.1.3)")
	case p.ca && !p.subjectKey:
		return refuse("keyIdentifiers: a CA certificate has that of its subject (RFC 5280, 4.2.1.2)")
	case p.shortKeyID && !p.subjectKey:
		return refuse("keyIdentifiers: the method is that of the subject's, and there is none; the authority's is what the issuer's certificate says")
	case p.ca && !p.subjectIsSure():
		return refuse("subject: a CA certificate has one (RFC 5280, 4.1.2.6)")
	case p.noCheck && !slices.Contains(p.purposes, purposes["OCSPSigning"]):
		return refuse("ocspNoCheck: it is for the extended key usage OCSPSigning (RFC 6960, 4.2.2.2.1)")
	}
	return nil
}

// alwaysExtends reports whether each certificate has an extension, whatever its
// issuer publishes and its request leaves out.
func (p *Profile) alwaysExtends() bool {
	constant := func(e extension) bool { return e.value.constant != nil }
	return p.basic || p.usage != 0 || len(p.purposes)+len(p.policies) > 0 || p.subjectKey || p.issuerKey ||
		p.noCheck || p.noRevAvail || p.sanRequired || slices.ContainsFunc(p.others, constant)
}

// usageFor returns the key usage of a certificate for a key of the kind.
func (p *Profile) usageFor(kind pki.KeyKind) tbs.KeyUsage {
	if isRSA(kind) {
		return p.usage | p.usageRSA
	}
	return p.usage
}

// KeyID returns the subject key identifier of a certificate for the key, whether or
// not the profile names the extension. A root's certificate needs its own before
// there is an issuer to bind to.
func (p *Profile) KeyID(key tbs.PublicKey) []byte {
	if !p.shortKeyID {
		return key.KeyID()
	}
	hash := key.KeyID()
	short := slices.Clone(hash[len(hash)-8:]) // 0100, and the last 60 bits
	short[0] = 0x40 | short[0]&0x0f
	return short
}

// Name returns the profile's name, a slug.
func (p *Profile) Name() string { return p.name }

// Description returns what the profile says it is for; it may be empty.
func (p *Profile) Description() string { return p.description }

// Authorities returns the names of the authorities that the profile is for; none is
// any.
func (p *Profile) Authorities() []string { return slices.Clone(p.authorities) }

// SignsOCSP reports whether the profile is for delegated OCSP responders: who
// holds such a certificate answers for the issuer.
func (p *Profile) SignsOCSP() bool { return slices.Contains(p.purposes, purposes["OCSPSigning"]) }

// Pair returns the name of the profile whose certificates are issued together with
// those of this one, both or neither; "" for a profile that stands alone.
func (p *Profile) Pair() string { return p.pair }

// CA reports whether the profile is for CA certificates.
func (p *Profile) CA() bool { return p.ca }

// CheckLendable refuses, as PolicyRefused, a profile whose certificates a borrower could
// have say what it likes: with names that an endpoint authorises, which would be the
// borrower's endpoint, or with what comes from the request and has no pattern.
func (p *Profile) CheckLendable() error {
	for i := range p.subject {
		if err := p.subject[i].lendable(p.name); err != nil {
			return err
		}
	}
	for i := range p.san {
		r := &p.san[i]
		if err := r.lendable(p.name); err != nil {
			return err
		}
		for j := range r.name {
			if err := r.name[j].lendable(p.name); err != nil {
				return err
			}
		}
		if r.other != nil {
			if err := r.other.lendable(p.name); err != nil {
				return err
			}
		}
	}
	for i := range p.others {
		if err := p.others[i].value.lendable(p.name); err != nil {
			return err
		}
	}
	return nil
}

func (v *value) lendable(profile string) error {
	switch {
	case v.authorized:
		return pki.Errorf(pki.PolicyRefused, "the profile %s takes names that an endpoint authorises, and the endpoint is the borrower's, who could authorise yours: lend one that makes its names of the device, or bounds them by a pattern", profile)
	case v.from.outside && v.pattern == nil:
		return pki.Errorf(pki.PolicyRefused, "the profile %s takes %s from the request as it comes, and a borrower could put your names there: lend one that bounds it by a pattern, or makes it of the device", profile, v.from.text)
	}
	return nil
}

func (v *asn1Value) lendable(profile string) error {
	if v.leaf != nil {
		return v.leaf.lendable(profile)
	}
	for i := range v.children {
		if err := v.children[i].lendable(profile); err != nil {
			return err
		}
	}
	return nil
}

// SharedKeys reports whether devices may share a key (keys: reuse: shared).
func (p *Profile) SharedKeys() bool { return p.shared }

// RenewSameKey reports whether a device may have a certificate for the key of an
// earlier one (keys: renew: same-key).
func (p *Profile) RenewSameKey() bool { return p.sameKey }

// Bound reports whether each request must be bound to the TLS connection that it comes
// by (binding: tls).
func (p *Profile) Bound() bool { return p.bound }

// RenewalGrace returns for how long after its end a certificate is renewed, with its
// own key (keys: renew: grace); 0 is not at all.
func (p *Profile) RenewalGrace() time.Duration { return p.grace }

// KeyKinds returns the kinds of key that the profile allows, for those who
// generate: preferred first. An RSA range is its usual sizes.
func (p *Profile) KeyKinds() []pki.KeyKind { return slices.Clone(p.keys.kinds) }

// NeedsDevice reports whether the profile cannot do without device.id, so that
// an enrolment without a device is refused.
func (p *Profile) NeedsDevice() bool { return p.needsDevice }
