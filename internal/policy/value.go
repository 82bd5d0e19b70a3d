package policy

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"github.com/goccy/go-yaml/token"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// Input is all that a profile may draw on. What a profile does not name has no
// effect.
type Input struct {
	CSR          *tbs.CSR // parsed and proven by the caller; never nil
	Tenant       pki.TenantID
	Organization string        // of the owner
	Endpoint     string        // label; "" where there is none
	Protocol     pki.Protocol  // "" where there is none
	Device       pki.DeviceID  // "" where no device is concerned
	Placement    pki.Placement // of the device
	Requester    Requester
	CommonName   string    // of an authority or responder: from registered data, not from the request
	Names        pki.Names // authorised for the endpoint
	Attributes   map[string]string
	Now          time.Time

	spent uint64 // cost of the expressions that were evaluated for it
}

// A Requester is who asks.
type Requester struct {
	ID   string // of the principal, as "token:0abc"
	Name string
	Role string
}

// A source draws text from an Input: one text, or with many any number.
type source struct {
	written string // in the document
	text    string // in refusals
	outside bool   // written by whoever asks, so that it needs a check
	device  bool   // drawn from the device
	one     func(*Input) (string, error)
	many    func(*Input) ([]string, error)
	kind    string // of a list of the CSR's names, as "dns"; "" where any will do
}

var attributeName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// compileSource knows the paths that doc.go lists, which cost next to nothing;
// anything else is an expression.
func compileSource(text string) (source, error) {
	if s, ok := parsePath(text); ok {
		return s, nil
	}
	e, err := compileExpression(text, cel.StringType, cel.ListType(cel.StringType))
	if err != nil {
		return source{}, err
	}
	s := source{written: text, text: "the value", outside: e.outside, device: e.device}
	if e.kind.IsExactType(cel.StringType) {
		s.one = func(in *Input) (string, error) {
			texts, err := e.texts(in)
			if err != nil {
				return "", err
			}
			return texts[0], nil
		}
	} else {
		s.many = e.texts
	}
	return s, nil
}

// parsePath returns the source of a plain path.
func parsePath(text string) (source, bool) {
	plain := func(outside bool, get func(*Input) string) (source, bool) {
		return source{written: text, text: text, outside: outside, one: func(in *Input) (string, error) { return get(in), nil }}, true
	}
	names := func(name string, kind tbs.GeneralNameKind) (source, bool) {
		return source{written: text, text: text, outside: true, kind: name, many: func(in *Input) ([]string, error) { return namesOf(in.CSR, kind), nil }}, true
	}
	switch text {
	case "device.id":
		s, ok := plain(false, func(in *Input) string { return string(in.Device) })
		s.device = true
		return s, ok
	case "tenant.organization":
		return plain(false, func(in *Input) string { return in.Organization })
	case "authority.commonName":
		return plain(false, func(in *Input) string { return in.CommonName })
	case "csr.subject.cn":
		return plain(true, func(in *Input) string { return in.CSR.Subject.Get(der.OIDCommonName) })
	case "csr.subject.serialNumber":
		return plain(true, func(in *Input) string { return in.CSR.Subject.Get(der.OIDSerialNumber) })
	case "csr.san.dns":
		return names("dns", tbs.DNSName)
	case "csr.san.uri":
		return names("uri", tbs.URI)
	case "csr.san.ip":
		return names("ip", tbs.IPAddress)
	case "csr.san.email":
		return names("email", tbs.Email)
	}
	if name, ok := strings.CutPrefix(text, "request.attributes."); ok && attributeName.MatchString(name) {
		return plain(true, func(in *Input) string { return in.Attributes[name] })
	}
	return source{}, false
}

// namesOf returns the names of a kind that a request asks for.
func namesOf(csr *tbs.CSR, kind tbs.GeneralNameKind) []string { return textsOf(csr.Names, kind) }

// A value is a literal, or drawn from a source and checked.
type value struct {
	literal    string
	from       source         // without one and many where the value is a literal
	check      check          // without valid where the value needs none
	pattern    *regexp.Regexp // nil for none; anchored at both ends
	as         string         // what octets the text stands for: "" and text are its own
	authorized bool
	exact      bool // the certificate's names of the kind are all that the endpoint authorises
	optional   bool
}

// list reports whether the value may be any number of texts.
func (v *value) list() bool { return v.from.many != nil }

// one returns the text of a value that is not a list, or "" for an optional one
// that is absent.
func (v *value) one(in *Input) (string, error) {
	if v.literal != "" {
		return v.literal, nil
	}
	text, err := v.from.one(in)
	if err != nil {
		return "", err
	}
	if text == "" {
		if v.optional {
			return "", nil
		}
		return "", pki.Errorf(pki.PolicyRefused, "the profile needs %s, which is absent", v.from.text)
	}
	return text, v.accept(in, text)
}

// accept refuses a text that does not pass.
func (v *value) accept(in *Input, text string) error {
	if v.check.valid != nil {
		if err := v.check.valid(text); err != nil {
			return pki.Errorf(pki.PolicyRefused, "%s: %s", v.from.text, pki.DetailOf(err))
		}
	}
	if v.pattern != nil && !v.pattern.MatchString(text) {
		return pki.Errorf(pki.PolicyRefused, "%s: %.260q does not match the profile's pattern", v.from.text, text)
	}
	if v.authorized && !v.check.covered(in.Names, text) {
		return pki.Errorf(pki.PolicyRefused, "%s: %s name %.260q is not authorised for this endpoint", v.from.text, v.check.name, text)
	}
	return nil
}

// anyLiteral as a kind has compile take any literal: it is text in ASN.1.
const anyLiteral = "asn1"

// compile checks the value as written. Where kind is not "", the value is a name
// of that kind, which brings its check with it, or anyLiteral.
func (d *documentValue) compile(kind string) (value, error) {
	v := value{literal: d.Value.text, as: d.As.text, optional: d.Optional}
	switch d.Authorized.text {
	case "", "false":
	case "true", "exact":
		v.authorized, v.exact = true, d.Authorized.text == "exact"
	default:
		return v, at(d.Authorized.token, "authorized is true or exact")
	}
	switch {
	case d.Value.text != "" && d.From.text != "":
		return v, at(d.Value.token, "a value has from or value, not both")
	case d.Value.text == "" && d.From.text == "":
		return v, at(d.Type.token, "a value has from or value")
	case d.Check.text != "" && kind != "" && kind != anyLiteral:
		return v, at(d.Check.token, "a "+kind+" name always passes the check "+kind)
	}
	var known bool
	if kind != "" && kind != anyLiteral {
		v.check, _ = checkNamed(kind)
	} else if d.Check.text != "" {
		if v.check, known = checkNamed(d.Check.text); !known {
			return v, at(d.Check.token, "a check is dns, uri, ip, email, hex or name")
		}
	}
	if d.String.text != "" && d.Type.text == "" {
		return v, at(d.String.token, "string is for attributes of a name; in asn1 the key is the type")
	}
	switch d.As.text {
	case "", "text", "hex", "base64":
	default:
		return v, at(d.As.token, "as is text, hex or base64")
	}
	if v.authorized && v.check.covered == nil {
		return v, at(d.first(), "authorized needs the check dns, uri or ip: names are authorised by kind")
	}
	if v.exact && (kind == "" || kind == anyLiteral) {
		return v, at(d.Authorized.token, "authorized: exact is for names of san: a subject has one of them")
	}
	if v.literal != "" {
		if d.Pattern.text != "" || d.Optional || v.authorized || d.Check.text != "" {
			return v, at(d.Value.token, "a literal value needs no check, pattern, authorized or optional")
		}
		if kind == anyLiteral {
			return v, nil
		}
		if v.check.valid == nil {
			v.check, _ = checkNamed("name")
		}
		if err := v.check.valid(v.literal); err != nil {
			return v, at(d.Value.token, pki.DetailOf(err))
		}
		return v, nil
	}
	var err error
	if v.from, err = compileSource(d.From.text); err != nil {
		return v, at(d.From.token, "this is not a value that a profile can draw on: "+err.Error())
	}
	if v.from.outside && v.check.valid == nil {
		return v, at(d.From.token, "what comes from the CSR or the request needs a check: dns, uri, ip, email, hex or name")
	}
	if d.Pattern.text != "" {
		if v.pattern, err = compilePattern(d.Pattern.text); err != nil {
			return v, at(d.Pattern.token, err.Error())
		}
	}
	return v, nil
}

// compilePattern returns the expression anchored at both ends. A short one can
// stand for a program of megabytes ("(a{100}){10}"), hence the second bound.
func compilePattern(text string) (*regexp.Regexp, error) {
	const maxText, maxProgram = 200, 1000
	if len(text) > maxText {
		return nil, fmt.Errorf("a pattern has at most %d bytes", maxText)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	if len(program.Inst) > maxProgram {
		return nil, errors.New("this pattern is too large")
	}
	return regexp.Compile(`\A(?:` + text + `)\z`)
}

// first returns a place to point at.
func (d *documentValue) first() *token.Token {
	if d.From.token != nil {
		return d.From.token
	}
	return d.Value.token
}
