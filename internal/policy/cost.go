package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// CEL counts a call after it has returned. What a call can make of bounded arguments
// is bounded too, but for those in guards, which are refused before they begin; and
// no value that an expression has at one moment is larger than maxHeld.
const (
	maxHeld     = 64 << 10 // octets of text and elements of lists in a value, together
	maxElements = 1000     // of a value that need be visited to measure it
	maxWithin   = 10       // values within each other
	maxFact     = 4 << 10  // octets of a text of the CSR
)

// errCost is the cause of a refusal of an expression that costs too much, whose detail
// says so in the same words.
var errCost = errors.New("costs too much")

// CostsTooMuch reports whether err is a refusal because the profile's expressions cost
// more than they may: then the fault is the profile's, or the request is of a size
// that it was not written for.
func CostsTooMuch(err error) bool { return errors.Is(err, errCost) }

// limits are what bounds an evaluation.
func limits() []cel.ProgramOption {
	size := types.NewSizeCalculator(types.SizeCalculatorMaxDepth(maxWithin), types.SizeCalculatorMaxTraversal(maxElements), types.SizeCalculatorStringUnitLength(1))
	return []cel.ProgramOption{
		cel.CostLimit(costLimit), cel.CostTracking(costs{}),
		cel.MemoryLimit(maxHeld), cel.MemoryTracking(types.MemoryTrackerSizeCalculator(size)),
	}
}

// costs says what the functions cost whose results CEL counts as nothing.
type costs struct{}

// CallCost implements cost.ActualCostEstimator.
func (costs) CallCost(function, _ string, _ []ref.Val, result ref.Val) *uint64 {
	if function != "format" && !strings.HasPrefix(function, "base64.") {
		return nil
	}
	size := 1
	switch r := result.(type) {
	case types.String:
		size += len(r) / 10
	case types.Bytes:
		size += len(r) / 10
	}
	cost := uint64(size)
	return &cost
}

// A guard reports whether a call would make more than maxHeld, or cost more than an
// expression may.
type guard func(args []ref.Val) bool

// guards are of the functions whose results, or work, are a product of their arguments.
var guards = map[string]guard{"replace": replaced, "join": joined, "indexOf": searched, "lastIndexOf": searched}

func replaced(args []ref.Val) bool {
	text, old, with := string(args[0].(types.String)), string(args[1].(types.String)), string(args[2].(types.String))
	n := strings.Count(text, old)
	if len(args) > 3 {
		if most := args[3].(types.Int); most >= 0 {
			n = min(n, int(most))
		}
	}
	return len(text)+n*len(with) > maxHeld
}

func joined(args []ref.Val) bool {
	between, size := 0, 0
	if len(args) > 1 {
		between = len(args[1].(types.String))
	}
	for it := args[0].(traits.Lister).Iterator(); it.HasNext() == types.True; {
		if text, ok := it.Next().(types.String); ok {
			size += len(text) + between
		}
	}
	return size > maxHeld
}

func searched(args []ref.Val) bool {
	text, part := string(args[0].(types.String)), string(args[1].(types.String))
	return utf8.RuneCountInString(text)*utf8.RuneCountInString(part) > 10*costLimit
}

// guarded returns the functions of env that have a guard, to take the place of those
// that it has.
func guarded(env *cel.Env) ([]cel.EnvOption, error) {
	var options []cel.EnvOption
	all := env.Functions()
	for _, name := range slices.Sorted(maps.Keys(guards)) {
		bindings, err := all[name].Bindings()
		if err != nil {
			return nil, err
		}
		for _, o := range all[name].OverloadDecls() {
			i := slices.IndexFunc(bindings, func(b *functions.Overload) bool { return b.Operator == o.ID() })
			if i < 0 || !o.IsMemberFunction() {
				return nil, fmt.Errorf("the function %s has another form than its guard is for", o.ID())
			}
			options = append(options, cel.Function(name, cel.MemberOverload(o.ID(), o.ArgTypes(), o.ResultType(), guards[name].before(name, bindings[i]))))
		}
	}
	return options, nil
}

// before returns the function behind its guard. What passes none ends the evaluation,
// as CEL's own limits do: an error could be caught by || and tried again in a loop.
func (g guard) before(name string, call *functions.Overload) cel.OverloadOpt {
	check := func(args ...ref.Val) {
		if g(args) {
			panic(interpreter.EvalCancelledError{Cause: interpreter.MemoryLimitExceeded, Message: "operation cancelled: " + name + " would make or search too much"})
		}
	}
	switch {
	case call.Unary != nil:
		return cel.UnaryBinding(func(value ref.Val) ref.Val {
			check(value)
			return call.Unary(value)
		})
	case call.Binary != nil:
		return cel.BinaryBinding(func(left, right ref.Val) ref.Val {
			check(left, right)
			return call.Binary(left, right)
		})
	}
	return cel.FunctionBinding(func(args ...ref.Val) ref.Val {
		check(args...)
		return call.Function(args...)
	})
}

// checkFacts refuses, as PolicyRefused, a request with a text that is too long to be
// given to expressions.
func checkFacts(csr *tbs.CSR) error {
	for _, a := range csr.Subject {
		if len(a.Value) > maxFact {
			return pki.Errorf(pki.PolicyRefused, "the request's subject has a value of %d octets; a profile with expressions takes %d", len(a.Value), maxFact)
		}
	}
	for _, n := range csr.Names {
		if len(n.Text) > maxFact {
			return pki.Errorf(pki.PolicyRefused, "the request's subject alternative names have one of %d octets; a profile with expressions takes %d", len(n.Text), maxFact)
		}
	}
	return nil
}
