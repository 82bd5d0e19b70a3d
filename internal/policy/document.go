package policy

import (
	"bytes"
	"errors"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/pando-pki/pando/internal/pki"
)

// What a document may be, and what is made of it. The YAML parser takes time that
// grows with the square of nesting, of the length of lines and of the number of
// tokens.
const (
	maxDocument = 64 << 10 // bytes
	maxLine     = 1000     // bytes
	maxTokens   = 4000     // a profile of some length has 300
	maxDepth    = 16       // of flow collections
	maxColumn   = 200      // of a "-", which bounds "- - - -" on one line
	maxRefusal  = 2000     // bytes of an error
	maxValues   = 32       // of a subject, and entries of a SAN
)

// A document is a profile as it is written; doc.go says what each key means.
type document struct {
	Profile          word                 `yaml:"profile"`
	Description      string               `yaml:"description"`
	Mode             word                 `yaml:"mode"`
	Authorities      []word               `yaml:"authorities"`
	Strict           bool                 `yaml:"strict"`
	Rules            []documentRule       `yaml:"rules"`
	Pair             word                 `yaml:"pair"`
	Approvals        *documentApprovals   `yaml:"approvals"`
	Quota            word                 `yaml:"quota"`
	Binding          word                 `yaml:"binding"`
	Keys             documentKeys         `yaml:"keys"`
	ServerKeys       *documentServerKeys  `yaml:"serverKeys"`
	Validity         word                 `yaml:"validity"`
	Backdate         word                 `yaml:"backdate"`
	Outlive          word                 `yaml:"outlive"`
	Subject          []documentRDN        `yaml:"subject"`
	SAN              documentSAN          `yaml:"san"`
	BasicConstraints *documentBasic       `yaml:"basicConstraints"`
	NameConstraints  *documentConstraints `yaml:"nameConstraints"`
	KeyUsage         *documentUsage       `yaml:"keyUsage"`
	ExtendedKeyUsage *documentPurposes    `yaml:"extendedKeyUsage"`
	Policies         documentPolicies     `yaml:"policies"`
	KeyIdentifiers   documentIdentifiers  `yaml:"keyIdentifiers"`
	Status           documentStatus       `yaml:"status"`
	OCSPNoCheck      bool                 `yaml:"ocspNoCheck"`
	NoRevAvail       bool                 `yaml:"noRevAvail"`
	Extensions       []documentExtension  `yaml:"extensions"`
	Lint             documentLint         `yaml:"lint"`
}

// documentLint is what of zlint's rules does not count.
type documentLint struct {
	Except []documentException `yaml:"except"`
}

type documentException struct {
	Rule    word   `yaml:"rule"`
	Because string `yaml:"because"`
}

// A documentRule is what must hold of a request.
type documentRule struct {
	Require word   `yaml:"require"`
	Because string `yaml:"because"`
}

type documentKeys struct {
	Allow []word        `yaml:"allow"`
	Reuse word          `yaml:"reuse"`
	Renew documentRenew `yaml:"renew"`
}

// A documentRenew is one word about the key, or a mapping.
type documentRenew struct {
	Key   word `yaml:"key"`
	Grace word `yaml:"grace"`
}

// UnmarshalYAML takes a word or a mapping.
func (d *documentRenew) UnmarshalYAML(node ast.Node) error {
	if _, scalar := node.(ast.ScalarNode); scalar {
		return d.Key.UnmarshalYAML(node)
	}
	type plain documentRenew
	return yaml.NodeToValue(node, (*plain)(d), yaml.Strict())
}

// A documentValue is one value with what it is for and what it must pass. A lone
// word is a literal. Type is an attribute's or a hardware module's.
type documentValue struct {
	Type       word `yaml:"type"`
	From       word `yaml:"from"`
	Value      word `yaml:"value"`
	String     word `yaml:"string"`
	As         word `yaml:"as"`
	Check      word `yaml:"check"`
	Pattern    word `yaml:"pattern"`
	Authorized word `yaml:"authorized"`
	Optional   bool `yaml:"optional"`
}

// UnmarshalYAML takes a word or a mapping.
func (d *documentValue) UnmarshalYAML(node ast.Node) error {
	if _, scalar := node.(ast.ScalarNode); scalar {
		return d.Value.UnmarshalYAML(node)
	}
	type plain documentValue
	return yaml.NodeToValue(node, (*plain)(d), yaml.Strict())
}

// A documentRDN is one attribute, or with the key rdn several that stand in one
// RDN.
type documentRDN struct {
	RDN []documentValue
}

// UnmarshalYAML takes a mapping of either form.
func (d *documentRDN) UnmarshalYAML(node ast.Node) error {
	mapping, ok := node.(*ast.MappingNode)
	if ok && len(mapping.Values) == 1 && mapping.Values[0].Key.String() == "rdn" {
		several, ok := mapping.Values[0].Value.(*ast.SequenceNode)
		if !ok {
			return &yaml.SyntaxError{Message: "an rdn is a list of attributes", Token: node.GetToken()}
		}
		return yaml.NodeToValue(several, &d.RDN, yaml.Strict())
	}
	d.RDN = make([]documentValue, 1)
	return yaml.NodeToValue(node, &d.RDN[0], yaml.Strict())
}

type documentSAN struct {
	Required bool           `yaml:"required"`
	Critical bool           `yaml:"critical"`
	Names    []documentName `yaml:"names"`
}

// A documentName has one key: the kind of name.
type documentName struct {
	DNS                *documentValue `yaml:"dns"`
	URI                *documentValue `yaml:"uri"`
	IP                 *documentValue `yaml:"ip"`
	Email              *documentValue `yaml:"email"`
	HardwareModuleName *documentValue `yaml:"hardwareModuleName"`
	UPN                *documentValue `yaml:"upn"`
	DirectoryName      []documentRDN  `yaml:"directoryName"`
	RegisteredID       word           `yaml:"registeredID"`
	OtherName          *documentTyped `yaml:"otherName"`
}

// A documentTyped is a value in ASN.1 with the OID that says what it is.
type documentTyped struct {
	Type word         `yaml:"type"`
	ASN1 documentASN1 `yaml:"asn1"`
}

type documentBasic struct {
	CA         bool `yaml:"ca"`
	PathLength *int `yaml:"pathLength"`
}

type documentConstraints struct {
	Permitted []documentSubtree `yaml:"permitted"`
	Excluded  []documentSubtree `yaml:"excluded"`
}

// A documentSubtree has one key: the kind of name.
type documentSubtree struct {
	DNS           word          `yaml:"dns"`
	URI           word          `yaml:"uri"`
	IP            word          `yaml:"ip"`
	Email         word          `yaml:"email"`
	DirectoryName []documentRDN `yaml:"directoryName"`
}

type documentUsage struct {
	Use      []word `yaml:"use"`
	RSA      []word `yaml:"rsa"`
	Critical *bool  `yaml:"critical"`
}

type documentPurposes struct {
	Use      []word `yaml:"use"`
	Critical bool   `yaml:"critical"`
}

// documentPolicies are a list, or a mapping with that list and its criticality.
type documentPolicies struct {
	Critical bool             `yaml:"critical"`
	Use      []documentPolicy `yaml:"use"`
}

// UnmarshalYAML takes either form.
func (d *documentPolicies) UnmarshalYAML(node ast.Node) error {
	if list, ok := node.(*ast.SequenceNode); ok {
		return yaml.NodeToValue(list, &d.Use, yaml.Strict())
	}
	type plain documentPolicies
	return yaml.NodeToValue(node, (*plain)(d), yaml.Strict())
}

// A documentPolicy is an OID, or a mapping with its qualifiers.
type documentPolicy struct {
	OID    word `yaml:"oid"`
	CPS    word `yaml:"cps"`
	Notice word `yaml:"notice"`
}

// UnmarshalYAML takes either form.
func (d *documentPolicy) UnmarshalYAML(node ast.Node) error {
	if _, scalar := node.(ast.ScalarNode); scalar {
		return d.OID.UnmarshalYAML(node)
	}
	type plain documentPolicy
	return yaml.NodeToValue(node, (*plain)(d), yaml.Strict())
}

// documentIdentifiers are a list, or a mapping with that list and the method.
type documentIdentifiers struct {
	Use    []word `yaml:"use"`
	Method word   `yaml:"method"`
}

// UnmarshalYAML takes either form.
func (d *documentIdentifiers) UnmarshalYAML(node ast.Node) error {
	if list, ok := node.(*ast.SequenceNode); ok {
		return yaml.NodeToValue(list, &d.Use, yaml.Strict())
	}
	type plain documentIdentifiers
	return yaml.NodeToValue(node, (*plain)(d), yaml.Strict())
}

type documentStatus struct {
	CRL       bool `yaml:"crl"`
	Deltas    bool `yaml:"deltas"`
	OCSP      bool `yaml:"ocsp"`
	CAIssuers bool `yaml:"caIssuers"`
}

// A documentExtension is an extension that has no key of its own.
type documentExtension struct {
	OID      word         `yaml:"oid"`
	Critical bool         `yaml:"critical"`
	ASN1     documentASN1 `yaml:"asn1"`
}

// A documentASN1 is a value in ASN.1: a mapping with one key, its type.
type documentASN1 struct {
	Boolean    *bool           `yaml:"boolean"`
	Integer    *documentValue  `yaml:"integer"`
	Enumerated *documentValue  `yaml:"enumerated"`
	OID        word            `yaml:"oid"`
	UTF8       *documentValue  `yaml:"utf8"`
	Printable  *documentValue  `yaml:"printable"`
	IA5        *documentValue  `yaml:"ia5"`
	BMP        *documentValue  `yaml:"bmp"`
	Octets     *documentValue  `yaml:"octets"`
	Bits       *documentValue  `yaml:"bits"`
	Time       *documentValue  `yaml:"time"`
	Sequence   []documentASN1  `yaml:"sequence"`
	Set        []documentASN1  `yaml:"set"`
	Explicit   *documentTagged `yaml:"explicit"`
	Implicit   *documentTagged `yaml:"implicit"`
	Wrapped    *documentASN1   `yaml:"wrapped"`
	DER        word            `yaml:"der"`
}

// A documentTagged is a value under a context-specific tag.
type documentTagged struct {
	Tag uint8        `yaml:"tag"`
	Of  documentASN1 `yaml:"of"`
}

// A word is a scalar with its place, so that a later check can point at it. The
// zero word is one that the document does not have.
type word struct {
	text  string
	token *token.Token
}

// UnmarshalYAML takes strings and, as they are written, numbers and booleans:
// an OID of two arcs looks like a number.
func (w *word) UnmarshalYAML(node ast.Node) error {
	w.token = node.GetToken()
	switch n := node.(type) {
	case *ast.StringNode:
		w.text = n.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		w.text = w.token.Value
	default:
		return &yaml.SyntaxError{Message: "one word is needed here", Token: w.token}
	}
	if w.text == "" {
		return &yaml.SyntaxError{Message: "this is empty", Token: w.token}
	}
	return nil
}

// place is where a document of a pack needs a value of its user's. In a pattern it
// would ask for text after the end, which there is none of.
var place = regexp.MustCompile(`\$\(([a-z][a-z0-9-]*)\)`)

// read decodes source strictly. Its errors are Malformed, with line and caret.
func read(source []byte) (*document, error) {
	if len(source) > maxDocument {
		return nil, pki.Errorf(pki.Malformed, "a profile has at most %d bytes", maxDocument)
	}
	for line := range bytes.Lines(source) {
		if len(line) > maxLine {
			return nil, pki.Errorf(pki.Malformed, "a line of a profile has at most %d bytes", maxLine)
		}
	}
	tokens := lexer.Tokenize(string(source))
	if err := checkTokens(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, malformed(err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return nil, pki.Errorf(pki.Malformed, "a profile is one YAML document")
	}
	plain := plainOnly{new(*token.Token)}
	ast.Walk(plain, file.Docs[0].Body)
	if *plain.found != nil {
		return nil, at(*plain.found, "anchors, aliases, tags, merge keys, complex keys and nulls have no place in a profile")
	}
	doc := new(document)
	err = yaml.NodeToValue(file.Docs[0].Body, doc, yaml.Strict())
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok {
		return nil, at(wrong.Token, "a "+wrong.DstType.Kind().String()+" is needed here")
	}
	if err != nil {
		return nil, malformed(err)
	}
	return doc, nil
}

// checkTokens refuses what would cost the parser more than a document is worth.
func checkTokens(tokens token.Tokens) error {
	if len(tokens) > maxTokens {
		return pki.Errorf(pki.Malformed, "a profile has at most %d words and signs", maxTokens)
	}
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.MappingKeyType:
			return at(t, "complex keys have no place in a profile")
		}
		if found := place.FindStringSubmatch(t.Value); found != nil && t.Type != token.CommentType {
			return at(t, found[0]+" is a place for a value of yours; 'pando profile packs PACK PROFILE --set "+found[1]+"=VALUE' fills it in")
		}
		if depth > maxDepth || t.Type == token.SequenceEntryType && t.Position.Column > maxColumn {
			return at(t, "this is nested too deep")
		}
	}
	return nil
}

// plainOnly visits a tree and remembers the first node that is more than
// mappings, sequences and scalars.
type plainOnly struct{ found **token.Token }

func (p plainOnly) Visit(node ast.Node) ast.Visitor {
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode, *ast.MappingKeyNode, *ast.DirectiveNode, *ast.NullNode:
		if *p.found == nil {
			*p.found = node.GetToken()
		}
		return nil
	}
	return p
}

// at returns a Malformed error that shows the line of t with a caret.
func at(t *token.Token, message string) error {
	if t == nil {
		return pki.Errorf(pki.Malformed, "%s", message)
	}
	return malformed(&yaml.SyntaxError{Message: message, Token: t})
}

// malformed shows an error of the YAML parser with line and caret.
func malformed(err error) error {
	text := yaml.FormatError(err, false, true)
	if len(text) > maxRefusal { // a value of many lines is shown whole
		text = strings.ToValidUTF8(text[:maxRefusal], "") + "..."
	}
	return pki.Errorf(pki.Malformed, "%s", text)
}
