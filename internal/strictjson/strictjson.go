// Package strictjson is the one way in which pando reads JSON from outside: a
// name that stands twice, a member that is not known, invalid UTF-8, deep nesting
// and anything after the value are errors, in words for whoever wrote it.
package strictjson

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep a value may nest.
const MaxDepth = 32

// Unmarshal reads the one JSON value in data into v. Its errors say what is
// wrong, and where, without the names of Go types: they are fit to show. The
// caller bounds the size.
func Unmarshal(data []byte, v any) error {
	if depth(data) > MaxDepth {
		return fmt.Errorf("the JSON nests deeper than %d levels", MaxDepth)
	}
	err := json.Unmarshal(data, v, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		if errors.Is(e, json.ErrUnknownName) {
			return fmt.Errorf("the member at %.80q is not known", string(e.JSONPointer))
		}
		return fmt.Errorf("the value at %.80q is not of the right type or form", string(e.JSONPointer))
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		switch {
		case errors.Is(e, jsontext.ErrDuplicateName):
			return fmt.Errorf("the member at %.80q stands there twice", string(e.JSONPointer))
		case errors.Is(e, io.ErrUnexpectedEOF):
			return errors.New("it ends in the middle of its JSON")
		}
		return fmt.Errorf("not valid JSON at byte %d", e.ByteOffset)
	}
	return errors.New("not valid JSON")
}

// depth returns how deep valid JSON nests, without recursion; of other text, a
// bound on how deep a decoder gets before it finds that out.
func depth(data []byte) int {
	deepest, level, inString := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}
