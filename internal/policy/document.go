package policy

import (
	"bytes"
	"errors"
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
	Profile          word              `yaml:"profile"`
	Description      string            `yaml:"description"`
	Keys             documentKeys      `yaml:"keys"`
	Validity         word              `yaml:"validity"`
	Backdate         word              `yaml:"backdate"`
	Outlive          word              `yaml:"outlive"`
	Subject          []documentValue   `yaml:"subject"`
	SAN              documentSAN       `yaml:"san"`
	BasicConstraints *documentBasic    `yaml:"basicConstraints"`
	KeyUsage         *documentUsage    `yaml:"keyUsage"`
	ExtendedKeyUsage *documentPurposes `yaml:"extendedKeyUsage"`
	Policies         []word            `yaml:"policies"`
	KeyIdentifiers   []word            `yaml:"keyIdentifiers"`
	Status           documentStatus    `yaml:"status"`
	OCSPNoCheck      bool              `yaml:"ocspNoCheck"`
}

type documentKeys struct {
	Allow []word `yaml:"allow"`
	Reuse word   `yaml:"reuse"`
	Renew word   `yaml:"renew"`
}

// A documentValue is one value with what it is for and what it must pass. Type
// is an attribute's or a hardware module's; dns, uri and ip names have none.
type documentValue struct {
	Type       word `yaml:"type"`
	From       word `yaml:"from"`
	Value      word `yaml:"value"`
	Check      word `yaml:"check"`
	Pattern    word `yaml:"pattern"`
	Authorized bool `yaml:"authorized"`
	Optional   bool `yaml:"optional"`
}

type documentSAN struct {
	Required bool           `yaml:"required"`
	Names    []documentName `yaml:"names"`
}

// A documentName has one key: the kind of name.
type documentName struct {
	DNS                *documentValue `yaml:"dns"`
	URI                *documentValue `yaml:"uri"`
	IP                 *documentValue `yaml:"ip"`
	HardwareModuleName *documentValue `yaml:"hardwareModuleName"`
}

type documentBasic struct {
	CA         bool `yaml:"ca"`
	PathLength *int `yaml:"pathLength"`
}

type documentUsage struct {
	Use []word `yaml:"use"`
	RSA []word `yaml:"rsa"`
}

type documentPurposes struct {
	Use      []word `yaml:"use"`
	Critical bool   `yaml:"critical"`
}

type documentStatus struct {
	CRL       bool `yaml:"crl"`
	Deltas    bool `yaml:"deltas"`
	OCSP      bool `yaml:"ocsp"`
	CAIssuers bool `yaml:"caIssuers"`
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
