package policy

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// What an expression may be and cost. A unit of cost is about one look-up or ten
// characters of text.
const (
	maxExpression     = 900           // characters
	maxNesting        = 50            // of the expression
	maxLoops          = 2             // one within the other
	costLimit         = 20_000        // of one; some milliseconds
	maxSpent          = 3 * costLimit // of all that a request has evaluated
	maxPattern        = 200           // instructions of a pattern
	maxExpressionText = 4096          // bytes of a result
	maxResults        = 100           // texts of a result
)

// The types of what expressions see, with the names of their fields.
type (
	factTenant struct {
		ID           string `cel:"id"`
		Organization string `cel:"organization"`
	}
	factAuthority struct {
		CommonName string `cel:"commonName"`
	}
	factDevice struct {
		ID string `cel:"id"`
	}
	factNamed struct {
		Name string `cel:"name"`
	}
	factRequester struct {
		ID   string `cel:"id"`
		Name string `cel:"name"`
		Role string `cel:"role"`
	}
	factRequest struct {
		Attributes map[string]string `cel:"attributes"`
		Protocol   string            `cel:"protocol"`
		Endpoint   string            `cel:"endpoint"`
	}
	factCSR struct {
		Subject    factSubject `cel:"subject"`
		SAN        factNames   `cel:"san"`
		Key        factKey     `cel:"key"`
		Extensions []string    `cel:"extensions"`
	}
	factSubject struct {
		CN           string          `cel:"cn"`
		SerialNumber string          `cel:"serialNumber"`
		Attributes   []factAttribute `cel:"attributes"`
	}
	factAttribute struct {
		Type  string `cel:"type"`
		Value string `cel:"value"`
	}
	factNames struct {
		DNS   []string `cel:"dns"`
		URI   []string `cel:"uri"`
		IP    []string `cel:"ip"`
		Email []string `cel:"email"`
	}
	factKey struct {
		Kind string `cel:"kind"`
	}
)

// variables are what expressions see.
var variables = map[string]any{
	"tenant": factTenant{}, "authority": factAuthority{}, "device": factDevice{},
	"product_line": factNamed{}, "lot": factNamed{}, "site": factNamed{},
	"requester": factRequester{}, "request": factRequest{}, "csr": factCSR{}, "now": time.Time{},
}

// environment is made once: its parts never change.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	native := []any{ext.ParseStructTags(true), reflect.TypeFor[factAttribute](), reflect.TypeFor[factSubject](), reflect.TypeFor[factNames](), reflect.TypeFor[factKey]()}
	options := []cel.EnvOption{
		cel.ParserExpressionSizeLimit(maxExpression), cel.ParserRecursionLimit(maxNesting),
		cel.OptionalTypes(), ext.Strings(), ext.Encoders(ext.EncodersVersion(0)), // base64 alone
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateRegexProgramSizeLimit(maxPattern), cel.ValidateComprehensionNestingLimit(maxLoops)),
	}
	for name, example := range variables {
		if t := reflect.TypeOf(example); t != reflect.TypeFor[time.Time]() {
			native = append(native, t)
			options = append(options, cel.Variable(name, cel.ObjectType(t.String())))
		} else {
			options = append(options, cel.Variable(name, cel.TimestampType))
		}
	}
	env, err := cel.NewEnv(append([]cel.EnvOption{ext.NativeTypes(native...)}, options...)...)
	if err != nil {
		return nil, err
	}
	behind, err := guarded(env)
	if err != nil {
		return nil, err
	}
	return env.Extend(behind...)
})

// An expression is a compiled CEL expression (cel.dev): it ends, costs at most
// costLimit, and sees nothing but the Input.
type expression struct {
	text    string
	outside bool // it draws on what whoever asks has written
	device  bool // it draws on the device
	csr     bool // it draws on the CSR
	program cel.Program
	kind    *cel.Type
}

// compileExpression compiles text, whose type is one of kinds. Its errors are for
// the author of the profile.
func compileExpression(text string, kinds ...*cel.Type) (*expression, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	compiled, issues := env.Compile(text)
	if issues.Err() != nil {
		var all []string
		for _, issue := range issues.Errors() {
			all = append(all, fmt.Sprintf("%s (at its character %d)", issue.Message, issue.Location.Column()+1))
		}
		return nil, errors.New(strings.Join(all, "; "))
	}
	e := &expression{text: text, kind: compiled.OutputType()}
	known := false
	for _, kind := range kinds {
		known = known || e.kind.IsExactType(kind)
	}
	if !known {
		return nil, fmt.Errorf("the expression yields a %s; a %s is needed here", e.kind, kinds[0])
	}
	if err := e.inspect(compiled.NativeRep()); err != nil {
		return nil, err
	}
	e.program, err = env.Program(compiled, append(limits(), cel.EvalOptions(cel.OptOptimize))...)
	return e, err
}

// fromOutside are the variables whose text whoever asks has written, or may have.
var fromOutside = []string{"csr", "request", "requester", "product_line", "lot", "site"}

// inspect notes what an expression draws on, and refuses what would not end the
// same each time or could cost more than is counted: patterns that are not there to
// be looked at, and lists made in the order of a map.
func (e *expression) inspect(tree *ast.AST) (err error) {
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(node ast.Expr) {
		switch node.Kind() {
		case ast.IdentKind:
			name := strings.TrimPrefix(node.AsIdent(), ".") // as CEL writes one that a loop's variable hides
			e.outside = e.outside || slices.Contains(fromOutside, name)
			e.device = e.device || name == "device"
			e.csr = e.csr || name == "csr"
		case ast.CallKind:
			call := node.AsCall()
			if name := call.FunctionName(); name == "matches" {
				if pattern := call.Args()[len(call.Args())-1]; pattern.Kind() != ast.LiteralKind {
					err = errors.New("the pattern of matches is a literal")
				}
			} else if strings.HasPrefix(name, "get") && len(call.Args()) > 0 {
				err = fmt.Errorf("%s takes no time zone: times are in UTC", name)
			}
		case ast.ComprehensionKind:
			loop := node.AsComprehension()
			if tree.GetType(loop.IterRange().ID()).Kind() == types.MapKind && loop.AccuInit().Kind() == ast.ListKind {
				err = errors.New("a map has no order: a list that is made of one would differ from one request to the next")
			}
		}
	}))
	return err
}

// eval returns the result, or PolicyRefused where the expression fails or costs
// too much.
func (e *expression) eval(in *Input) (ref.Val, error) {
	if in.spent > maxSpent {
		return nil, pki.Because(pki.PolicyRefused, errCost, "all that the profile's expressions do for one request costs too much")
	}
	if e.csr {
		if err := checkFacts(in.CSR); err != nil {
			return nil, err
		}
	}
	result, details, err := e.program.Eval(&activation{in: in})
	if details != nil && details.ActualCost() != nil {
		in.spent += *details.ActualCost()
	}
	var cancelled interpreter.EvalCancelledError
	switch {
	case errors.As(err, &cancelled):
		return nil, pki.Because(pki.PolicyRefused, errCost, "the profile's expression %.200q costs too much: %.300s", e.text, cancelled.Message)
	case err != nil:
		return nil, pki.Because(pki.PolicyRefused, err, "the profile's expression %.200q fails: %.300s", e.text, err.Error())
	}
	return result, nil
}

// holds returns the result of an expression of type bool.
func (e *expression) holds(in *Input) (bool, error) {
	result, err := e.eval(in)
	return err == nil && result == types.True, err
}

// texts returns the result of an expression of type string or list(string).
func (e *expression) texts(in *Input) ([]string, error) {
	result, err := e.eval(in)
	if err != nil {
		return nil, err
	}
	var texts []string
	if one, ok := result.Value().(string); ok {
		texts = []string{one}
	} else {
		many, err := result.ConvertToNative(reflect.TypeFor[[]string]())
		if err != nil {
			return nil, pki.Because(pki.PolicyRefused, err, "the profile's expression %.200q yields no list of texts", e.text)
		}
		texts = many.([]string)
	}
	size := 0
	for _, text := range texts {
		size += len(text)
	}
	if size > maxExpressionText || len(texts) > maxResults {
		return nil, pki.Errorf(pki.PolicyRefused, "the profile's expression %.200q yields more than %d texts or %d bytes", e.text, maxResults, maxExpressionText)
	}
	return texts, nil
}

// An activation gives an Input to an expression, each variable when it is asked
// for. An expression is evaluated by one goroutine.
type activation struct {
	in  *Input
	csr *factCSR // made once: a loop may ask for it each time
}

// Parent implements cel.Activation.
func (*activation) Parent() cel.Activation { return nil }

// ResolveName implements cel.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	in := a.in
	switch name {
	case "tenant":
		return factTenant{string(in.Tenant), in.Organization}, true
	case "authority":
		return factAuthority{in.CommonName}, true
	case "device":
		return factDevice{string(in.Device)}, true
	case "product_line":
		return factNamed{in.Placement.ProductLine}, true
	case "lot":
		return factNamed{in.Placement.Lot}, true
	case "site":
		return factNamed{in.Placement.Site}, true
	case "requester":
		return factRequester(in.Requester), true
	case "request":
		return factRequest{in.Attributes, string(in.Protocol), in.Endpoint}, true
	case "csr":
		if a.csr == nil {
			a.csr = factsOf(in.CSR)
		}
		return *a.csr, true
	case "now":
		return in.Now, true
	}
	return nil, false
}

// factsOf returns what an expression sees of a request.
func factsOf(csr *tbs.CSR) *factCSR {
	facts := &factCSR{
		Subject: factSubject{CN: csr.Subject.Get(der.OIDCommonName), SerialNumber: csr.Subject.Get(der.OIDSerialNumber)},
		Key:     factKey{string(csr.Key.Kind())},
	}
	for _, a := range csr.Subject {
		facts.Subject.Attributes = append(facts.Subject.Attributes, factAttribute{a.OID, a.Value})
	}
	for _, n := range csr.Names {
		switch n.Kind {
		case tbs.DNSName:
			facts.SAN.DNS = append(facts.SAN.DNS, n.Text)
		case tbs.URI:
			facts.SAN.URI = append(facts.SAN.URI, n.Text)
		case tbs.IPAddress:
			facts.SAN.IP = append(facts.SAN.IP, n.Text)
		case tbs.Email:
			facts.SAN.Email = append(facts.SAN.Email, n.Text)
		}
	}
	for _, e := range csr.Extensions {
		facts.Extensions = append(facts.Extensions, e.OID)
	}
	return facts
}
