package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/certdump"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// An Effect says what a change does to what may be issued.
type Effect string

// The effects. Widens is also what cannot be told to narrow.
const (
	Widens  Effect = "widens"  // something may be issued that was refused, or says more
	Narrows Effect = "narrows" // something is refused that was issued, or says less
	Differs Effect = "differs" // neither
)

// A Change is one difference between two versions of a profile.
type Change struct {
	What   string // where it stands in the document, as "keys.allow"
	Before string // "" where there was nothing
	After  string // "" where there is nothing any more
	Effect Effect
}

// Diff returns what differs between two versions of a profile, in the order of the
// language. Two documents that say the same in other words do not differ. Values are
// compared by their texts, so that the text of each is its own.
func Diff(before, after *Profile) []Change {
	d := &differ{}
	d.word("profile", before.name, after.name)
	d.flag("mode", "test", before.test, after.test, Narrows)
	d.scope(before.authorities, after.authorities)
	d.flag("strict", "true", before.strict, after.strict, Narrows)
	d.set("rules", rulesOf(before), rulesOf(after), Narrows)
	d.reasons("rules.because", ruleReasons(before), ruleReasons(after))
	d.pair(before.pair, after.pair)
	d.approvals(before.approvals, after.approvals)
	d.quota(before.quota, after.quota)
	d.flag("binding", "tls", before.bound, after.bound, Narrows)
	d.set("keys.allow", before.keys.words(), after.keys.words(), Widens)
	d.flag("keys.reuse", "shared", before.shared, after.shared, Widens)
	d.flag("keys.renew", "same-key", before.sameKey, after.sameKey, Widens)
	d.grace(before.grace, after.grace)
	d.serverKeys(before.serverKeys, after.serverKeys)
	d.window(before.window, after.window)
	d.list("subject", subjectOf(before), subjectOf(after))
	d.names(before.san, after.san)
	d.flag("san.required", "true", before.sanRequired, after.sanRequired, Narrows)
	d.flag("san.critical", "true", before.sanCritical, after.sanCritical, Narrows)
	d.flag("basicConstraints", "there", before.basic, after.basic, Differs)
	d.flag("basicConstraints.ca", "true", before.ca, after.ca, Widens)
	d.pathLength(before.pathLen, after.pathLen)
	d.constraints(before.constraints, after.constraints)
	d.restriction("keyUsage.use", usagesOf(before.usage), usagesOf(after.usage))
	d.set("keyUsage.rsa", usagesOf(before.usageRSA), usagesOf(after.usageRSA), Widens)
	d.flag("keyUsage.critical", "false", before.usageLax, after.usageLax, Widens)
	d.restriction("extendedKeyUsage.use", before.purposes, after.purposes)
	d.flag("extendedKeyUsage.critical", "true", before.purposesAre, after.purposesAre, Narrows)
	d.set("policies", policiesOf(before), policiesOf(after), Widens)
	d.flag("policies.critical", "true", before.policiesAre, after.policiesAre, Narrows)
	d.flag("keyIdentifiers", "subject", before.subjectKey, after.subjectKey, Differs)
	d.flag("keyIdentifiers", "authority", before.issuerKey, after.issuerKey, Differs)
	d.flag("keyIdentifiers.method", "short", before.shortKeyID, after.shortKeyID, Differs)
	d.flag("status.crl", "true", before.status.CRL, after.status.CRL, Narrows)
	d.flag("status.deltas", "true", before.status.Deltas, after.status.Deltas, Differs)
	d.flag("status.ocsp", "true", before.status.OCSP, after.status.OCSP, Narrows)
	d.flag("status.caIssuers", "true", before.status.CAIssuers, after.status.CAIssuers, Differs)
	d.flag("ocspNoCheck", "true", before.noCheck, after.noCheck, Widens)
	d.flag("noRevAvail", "true", before.noRevAvail, after.noRevAvail, Widens)
	d.either("extensions", extensionsOf(before), extensionsOf(after))
	d.set("lint.except", exceptionsOf(before), exceptionsOf(after), Widens)
	d.reasons("lint.except.because", exceptionReasons(before), exceptionReasons(after))
	d.word("description", before.description, after.description)
	return d.changes
}

type differ struct{ changes []Change }

func (d *differ) add(what, before, after string, effect Effect) {
	d.changes = append(d.changes, Change{what, before, after, effect})
}

func (d *differ) word(what, before, after string) {
	if before != after {
		d.add(what, before, after, Differs)
	}
}

// grace compares for how long certificates are renewed after their end.
func (d *differ) grace(before, after time.Duration) {
	text := func(g time.Duration) string {
		if g == 0 {
			return ""
		}
		return pki.FormatDuration(g)
	}
	switch {
	case before < after:
		d.add("keys.renew.grace", text(before), text(after), Widens)
	case before > after:
		d.add("keys.renew.grace", text(before), text(after), Narrows)
	}
}

// pair compares what certificates are issued together with: alone is more than that.
func (d *differ) pair(before, after string) {
	switch {
	case before == after:
	case before == "":
		d.add("pair", before, after, Narrows)
	default:
		d.add("pair", before, after, Widens)
	}
}

// opposite is the effect of taking away what has an effect when it is added.
func opposite(e Effect) Effect {
	switch e {
	case Widens:
		return Narrows
	case Narrows:
		return Widens
	}
	return e
}

// flag compares what is said or not; effect is that of saying it.
func (d *differ) flag(what, said string, before, after bool, effect Effect) {
	switch {
	case !before && after:
		d.add(what, "", said, effect)
	case before && !after:
		d.add(what, said, "", opposite(effect))
	}
}

// set compares what stands in no order; effect is that of one more.
func (d *differ) set(what string, before, after []string, effect Effect) {
	left := slices.Clone(after)
	for _, text := range before {
		if i := slices.Index(left, text); i >= 0 {
			left = slices.Delete(left, i, i+1) // one for one: what stands twice counts twice
			continue
		}
		d.add(what, text, "", opposite(effect))
	}
	for _, text := range left {
		d.add(what, "", text, effect)
	}
}

// A reason is why something is said.
type reason struct{ of, because string }

// reasons compares why both say what they say.
func (d *differ) reasons(what string, before, after []reason) {
	left := slices.Clone(after)
	for _, r := range before {
		i := slices.IndexFunc(left, func(o reason) bool { return o.of == r.of })
		if i < 0 {
			continue
		}
		if left[i].because != r.because {
			d.add(what, r.because, left[i].because, Differs)
		}
		left = slices.Delete(left, i, i+1)
	}
}

// restriction compares a set that restricts by being there: with none of it a
// certificate is good for everything.
func (d *differ) restriction(what string, before, after []string) {
	switch {
	case len(before) > 0 && len(after) == 0:
		d.add(what, strings.Join(before, ", "), "any", Widens)
	case len(before) == 0 && len(after) > 0:
		d.add(what, "any", strings.Join(after, ", "), Narrows)
	default:
		d.set(what, before, after, Widens)
	}
}

// either compares a set of which one more, and one less, may widen.
func (d *differ) either(what string, before, after []string) {
	first := len(d.changes)
	d.set(what, before, after, Widens)
	for i := range d.changes[first:] {
		d.changes[first+i].Effect = Widens
	}
}

// names compares the entries of a SAN. One less may let through requests that it
// refused, unless it is a literal.
func (d *differ) names(before, after []sanRule) {
	literal := func(rules []sanRule) (literals, others []string) {
		for i := range rules {
			if r := &rules[i]; r.fixed != nil || r.literal != "" && r.name == nil && r.other == nil {
				literals = append(literals, r.String())
			} else {
				others = append(others, r.String())
			}
		}
		return literals, others
	}
	literalsBefore, othersBefore := literal(before)
	literalsAfter, othersAfter := literal(after)
	d.set("san.names", literalsBefore, literalsAfter, Widens)
	d.either("san.names", othersBefore, othersAfter)
}

// list compares what stands in an order. Any difference widens: another value in a
// subject names another thing.
func (d *differ) list(what string, before, after []string) {
	if !slices.Equal(before, after) {
		d.add(what, strings.Join(before, "; "), strings.Join(after, "; "), Widens)
	}
}

// scope compares the authorities that a profile is for; none is any.
func (d *differ) scope(before, after []string) {
	switch {
	case len(before) == 0 && len(after) > 0:
		d.add("authorities", "any", strings.Join(after, ", "), Narrows)
	case len(before) > 0 && len(after) == 0:
		d.add("authorities", strings.Join(before, ", "), "any", Widens)
	default:
		d.set("authorities", before, after, Widens)
	}
}

func (d *differ) window(before, after window) {
	if before.validity != after.validity {
		d.add("validity", before.validity.String(), after.validity.String(), longer(before.validity, after.validity))
	}
	if before.backdate != after.backdate { // one end or the other moves outwards
		d.add("backdate", clockText(before.backdate), clockText(after.backdate), Widens)
	}
	d.flag("outlive", "clip", before.clip, after.clip, Widens)
}

// longer compares two periods over eighty years of beginnings, since months and years
// have different lengths and 2100 is no leap year: one that is ever longer widens.
func longer(before, after period) Effect {
	shorter := false
	for month := range 80 * 12 {
		begin := time.Date(2027, time.Month(1+month), 1, 0, 0, 0, 0, time.UTC)
		switch a, b := after.last(begin), before.last(begin); {
		case a.After(b):
			return Widens
		case a.Before(b):
			shorter = true
		}
	}
	if shorter {
		return Narrows
	}
	return Differs
}

func (d *differ) pathLength(before, after int) {
	if before == after {
		return
	}
	text := func(n int) string {
		if n < 0 {
			return ""
		}
		return fmt.Sprint(n)
	}
	effect := Narrows
	if after < 0 || before >= 0 && after > before {
		effect = Widens
	}
	d.add("basicConstraints.pathLength", text(before), text(after), effect)
}

func (d *differ) constraints(before, after []byte) {
	if string(before) == string(after) {
		return
	}
	effect := Widens
	if before == nil {
		effect = Narrows
	}
	text := func(extension []byte) string {
		if extension == nil {
			return ""
		}
		whole, err := newWant(tbs.ExtensionPart{DER: extension})
		if err != nil {
			return certdump.Outline(extension) // cannot be: it was compiled
		}
		_, readable := certdump.Extension(whole.oid, whole.value)
		return readable
	}
	d.add("nameConstraints", text(before), text(after), effect)
}

func rulesOf(p *Profile) (texts []string) {
	for _, r := range p.rules {
		texts = append(texts, r.require.text)
	}
	return texts
}

func ruleReasons(p *Profile) (reasons []reason) {
	for _, r := range p.rules {
		reasons = append(reasons, reason{r.require.text, r.because})
	}
	return reasons
}

func exceptionReasons(p *Profile) (reasons []reason) {
	for _, e := range p.lintExcept {
		reasons = append(reasons, reason{e.rule, e.because})
	}
	return reasons
}

func subjectOf(p *Profile) (texts []string) {
	for _, a := range p.subject {
		texts = append(texts, a.String())
	}
	return texts
}

func usagesOf(set tbs.KeyUsage) (names []string) {
	for name, bit := range usages {
		if set&bit != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func policiesOf(p *Profile) (texts []string) {
	for _, policy := range p.policies {
		text := policy.OID
		if policy.CPS != "" {
			text += " cps " + policy.CPS
		}
		if policy.Notice != "" {
			text += fmt.Sprintf(" notice %q", policy.Notice)
		}
		texts = append(texts, text)
	}
	return texts
}

func extensionsOf(p *Profile) (texts []string) {
	for i := range p.others {
		e := &p.others[i]
		text := e.oid
		if e.critical {
			text += " critical"
		}
		if e.value.constant != nil {
			_, readable := certdump.Extension(e.oid, e.value.constant)
			texts = append(texts, text+" "+readable)
			continue
		}
		texts = append(texts, text+" "+e.value.String())
	}
	return texts
}

// words returns the kinds of key as they are written, a range as one.
func (r *keyRule) words() []string { return strings.Split(r.written, ", ") }

// String returns the period as a profile writes it.
func (p period) String() string {
	switch {
	case p.unlimited:
		return "99991231235959Z"
	case p.years > 0:
		return fmt.Sprintf("%dy", p.years)
	case p.months > 0:
		return fmt.Sprintf("%dmo", p.months)
	case p.days > 0:
		return fmt.Sprintf("%dd", p.days)
	}
	return clockText(p.clock)
}

// clockText returns whole seconds as a profile writes them, "" for none.
func clockText(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dmin", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// String describes a value in one line.
func (v *value) String() string {
	as := ""
	if v.as != "" {
		as = ", as " + v.as
	}
	if v.literal != "" {
		return fmt.Sprintf("%q", v.literal) + as
	}
	from := v.from.written
	if strings.Contains(from, "//") || strings.HasPrefix(from, `"`) || !isSeen(from) {
		from = strconv.Quote(from) // what follows is not taken for a comment in it
	}
	text := "from " + from + as
	if v.check.name != "" {
		text += ", check " + v.check.name
	}
	if v.pattern != nil {
		text += fmt.Sprintf(", pattern %q", v.pattern)
	}
	if v.authorized {
		text += ", authorized"
	}
	if v.exact {
		text += " exactly"
	}
	if v.optional {
		text += ", optional"
	}
	return text
}

// String describes an attribute in one line.
func (a *attribute) String() string {
	text := fmt.Sprintf("%s %s", a.oid, a.value.String())
	if a.kind != tbs.UTF8String {
		text = fmt.Sprintf("%s (%s) %s", a.oid, a.kind, a.value.String())
	}
	if a.joined {
		text = "+ " + text
	}
	return text
}

// String describes a name in one line.
func (r *sanRule) String() string {
	switch {
	case r.fixed != nil:
		_, readable := certdump.Extension(der.OIDSubjectAltName, der.Append(nil, asn1.SEQUENCE, r.fixed.DER))
		return readable
	case r.name != nil:
		var parts []string
		for i := range r.name {
			parts = append(parts, r.name[i].String())
		}
		return "directoryName " + strings.Join(parts, "; ")
	case r.other != nil:
		return "otherName " + r.typeID + " " + r.other.String()
	case r.kind == tbs.HardwareModuleName:
		return "hardwareModuleName " + r.hwType + " " + r.value.String()
	}
	kinds := map[tbs.GeneralNameKind]string{tbs.DNSName: "dns ", tbs.URI: "uri ", tbs.IPAddress: "ip ", tbs.Email: "email "}
	return kinds[r.kind] + r.value.String()
}

// String describes a value in ASN.1 in one line.
func (v *asn1Value) String() string {
	switch {
	case v.constant != nil:
		return certdump.Outline(v.constant)
	case v.leaf != nil:
		return certdump.TypeName(v.tag) + " " + v.leaf.String()
	}
	var parts []string
	for i := range v.children {
		parts = append(parts, v.children[i].String())
	}
	implicit := ""
	if v.implicit {
		implicit = " implicit"
	}
	return certdump.TypeName(v.tag) + implicit + "{" + strings.Join(parts, ", ") + "}"
}

// Widened reports whether a change of a list widens what may be issued.
func Widened(changes []Change) bool {
	return slices.ContainsFunc(changes, func(c Change) bool { return c.Effect == Widens })
}
