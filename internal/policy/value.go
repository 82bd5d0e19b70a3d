package policy

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"

	"github.com/goccy/go-yaml/token"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// Input is all that a profile may draw on. What a profile does not name has no
// effect.
type Input struct {
	CSR          *tbs.CSR     // parsed and proven by the caller; never nil
	Device       pki.DeviceID // "" where no device is concerned
	Organization string       // of the owner
	CommonName   string       // of an authority or responder: from registered data, not from the request
	Names        pki.Names    // authorised for the endpoint
	Attributes   map[string]string
	Now          time.Time
}

// A path draws text from an Input: one text with get, or with kind the names of
// that kind that the CSR asks for.
type path struct {
	text    string
	outside bool                // from the CSR or the request, so that it needs a check
	get     func(*Input) string // nil for a list
	kind    tbs.GeneralNameKind // of a list
}

var attributeName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// parsePath knows the paths that doc.go lists.
func parsePath(text string) (path, bool) {
	switch text {
	case "device.id":
		return path{text: text, get: func(in *Input) string { return string(in.Device) }}, true
	case "tenant.organization":
		return path{text: text, get: func(in *Input) string { return in.Organization }}, true
	case "authority.commonName":
		return path{text: text, get: func(in *Input) string { return in.CommonName }}, true
	case "csr.subject.cn":
		return path{text: text, outside: true, get: func(in *Input) string { return in.CSR.Subject.Get(der.OIDCommonName) }}, true
	case "csr.subject.serialNumber":
		return path{text: text, outside: true, get: func(in *Input) string { return in.CSR.Subject.Get(der.OIDSerialNumber) }}, true
	case "csr.san.dns":
		return path{text: text, outside: true, kind: tbs.DNSName}, true
	case "csr.san.uri":
		return path{text: text, outside: true, kind: tbs.URI}, true
	case "csr.san.ip":
		return path{text: text, outside: true, kind: tbs.IPAddress}, true
	}
	if name, ok := strings.CutPrefix(text, "request.attributes."); ok && attributeName.MatchString(name) {
		return path{text: text, outside: true, get: func(in *Input) string { return in.Attributes[name] }}, true
	}
	return path{}, false
}

// A value is a literal, or drawn by a path and checked.
type value struct {
	literal    string
	from       path           // without get where the value is a literal
	check      check          // without valid where the value needs none
	pattern    *regexp.Regexp // nil for none; anchored at both ends
	authorized bool
	optional   bool
}

// list reports whether the value may be any number of names of the CSR.
func (v *value) list() bool { return v.literal == "" && v.from.get == nil }

// one returns the text of a value that is not a list, or "" for an optional one
// that is absent.
func (v *value) one(in *Input) (string, error) {
	if v.literal != "" {
		return v.literal, nil
	}
	text := v.from.get(in)
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

// compile checks the value as written. Where kind is not "", the value is a name
// of that kind, which brings its check with it.
func (d *documentValue) compile(kind string) (value, error) {
	v := value{literal: d.Value.text, authorized: d.Authorized, optional: d.Optional}
	switch {
	case d.Value.text != "" && d.From.text != "":
		return v, at(d.Value.token, "a value has from or value, not both")
	case d.Value.text == "" && d.From.text == "":
		return v, at(d.Type.token, "a value has from or value")
	case d.Check.text != "" && kind != "":
		return v, at(d.Check.token, "a "+kind+" name always passes the check "+kind)
	}
	var known bool
	if kind != "" {
		v.check, _ = checkNamed(kind)
	} else if d.Check.text != "" {
		if v.check, known = checkNamed(d.Check.text); !known {
			return v, at(d.Check.token, "a check is dns, uri, ip or name")
		}
	}
	if v.authorized && v.check.covered == nil {
		return v, at(d.first(), "authorized needs the check dns, uri or ip: names are authorised by kind")
	}
	if v.literal != "" {
		if d.Pattern.text != "" || d.Optional || d.Authorized || d.Check.text != "" {
			return v, at(d.Value.token, "a literal value needs no check, pattern, authorized or optional")
		}
		if v.check.valid == nil {
			v.check, _ = checkNamed("name")
		}
		if err := v.check.valid(v.literal); err != nil {
			return v, at(d.Value.token, pki.DetailOf(err))
		}
		return v, nil
	}
	if v.from, known = parsePath(d.From.text); !known {
		return v, at(d.From.token, "this path is not known; see the list of paths")
	}
	if v.from.outside && v.check.valid == nil {
		return v, at(d.From.token, "what comes from the CSR or the request needs a check: dns, uri, ip or name")
	}
	if d.Pattern.text != "" {
		var err error
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
