package access

import (
	"strings"

	"github.com/pando-pki/pando/internal/pki"
)

// A Scope is a part of a tenant, or where in it a thing is. The zero Scope is the
// whole tenant; of another all fields that are set must hold.
type Scope struct {
	Authority   string // name of the tenant's own authority
	ProductLine string
	Site        string
	Endpoint    string // name
}

// Covers reports whether the scope has what is at where: each field that is set is
// equal. What where does not say is in no scope that asks for it.
func (s Scope) Covers(where Scope) bool {
	return (s.Authority == "" || s.Authority == where.Authority) &&
		(s.ProductLine == "" || s.ProductLine == where.ProductLine) &&
		(s.Site == "" || s.Site == where.Site) &&
		(s.Endpoint == "" || s.Endpoint == where.Endpoint)
}

// Meets reports whether something can be in both: no field is set to different
// values.
func (s Scope) Meets(other Scope) bool {
	agree := func(a, b string) bool { return a == "" || b == "" || a == b }
	return agree(s.Authority, other.Authority) && agree(s.ProductLine, other.ProductLine) &&
		agree(s.Site, other.Site) && agree(s.Endpoint, other.Endpoint)
}

// whole is the text form of the zero Scope.
const whole = "tenant"

// maxScope is the length of the longest text of a scope, in bytes: four names, each
// character of which can be written as three.
const maxScope = 4 * (3*128 + 16)

// parts are the fields in the order of the text form.
func (s *Scope) parts() []scopePart {
	return []scopePart{{"authority", &s.Authority}, {"product-line", &s.ProductLine}, {"site", &s.Site}, {"endpoint", &s.Endpoint}}
}

type scopePart struct {
	kind string
	name *string
}

// String returns the text form: "tenant", or as "authority:issuing+site:berlin". In
// the name of a product line or a site "%", "+" and "," are written %25, %2B and %2C.
func (s Scope) String() string {
	var set []string
	for _, p := range s.parts() {
		if *p.name != "" {
			set = append(set, p.kind+":"+escape().Replace(*p.name))
		}
	}
	if len(set) == 0 {
		return whole
	}
	return strings.Join(set, "+")
}

func escape() *strings.Replacer   { return strings.NewReplacer("%", "%25", "+", "%2B", ",", "%2C") }
func unescape() *strings.Replacer { return strings.NewReplacer("%25", "%", "%2B", "+", "%2C", ",") }

// ParseScope reads the text form, whose parts may come in any order.
func ParseScope(text string) (Scope, error) {
	var s Scope
	if len(text) > maxScope {
		return Scope{}, pki.Errorf(pki.Malformed, "a scope has at most %d bytes", maxScope)
	}
	if text == whole {
		return s, nil
	}
	for part := range strings.SplitSeq(text, "+") {
		kind, name, found := strings.Cut(part, ":")
		field := s.field(kind)
		if !found || field == nil {
			return Scope{}, pki.Errorf(pki.Malformed, "scope %.80q: write tenant, or authority:NAME, product-line:NAME, site:NAME and endpoint:NAME, several of them joined by +", text)
		}
		if *field != "" {
			return Scope{}, pki.Errorf(pki.Malformed, "scope %.80q: %s stands there twice", text, kind)
		}
		*field = unescape().Replace(name)
		if escape().Replace(*field) != name {
			return Scope{}, pki.Errorf(pki.Malformed, "scope %.80q: in a name write %%25 for %%, %%2B for + and %%2C for a comma", text)
		}
		if err := checkPart(kind, *field); err != nil {
			return Scope{}, err
		}
	}
	return s, nil
}

func (s *Scope) field(kind string) *string {
	for _, p := range s.parts() {
		if p.kind == kind {
			return p.name
		}
	}
	return nil
}

func checkPart(kind, name string) error {
	if kind == "authority" || kind == "endpoint" {
		return pki.CheckSlug(kind, name)
	}
	if pki.CheckDevice(pki.DeviceID(name)) != nil { // the rule of a device's id is theirs too
		return pki.Errorf(pki.Malformed, "%s %.40q: a name has 1 to 128 printable ASCII characters and no space at either end", kind, name)
	}
	return nil
}

// ParseScopes reads several scopes; none is the whole tenant.
func ParseScopes(texts []string) ([]Scope, error) {
	if len(texts) == 0 {
		return []Scope{{}}, nil
	}
	var all []Scope
	for _, text := range texts {
		s, err := ParseScope(text)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// ScopesText returns scopes for people, separated by commas.
func ScopesText(all []Scope) string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = s.String()
	}
	return strings.Join(texts, ", ")
}
