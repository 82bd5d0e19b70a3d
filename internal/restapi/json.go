package restapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep a request's JSON may nest.
const maxDepth = 32

// jsonFormat is the one way in which JSON is read and written.
func jsonFormat() huma.Format {
	return huma.Format{
		Marshal:   func(w io.Writer, v any) error { return json.MarshalWrite(w, v) },
		Unmarshal: decode,
	}
}

// decode reads one JSON value strictly: a name that stands twice, a member that
// is not known, invalid UTF-8, deep nesting and anything after the value are
// errors. Its errors are fit to show.
func decode(data []byte, v any) error {
	if depth(data) > maxDepth {
		return fmt.Errorf("the JSON nests deeper than %d levels", maxDepth)
	}
	err := json.Unmarshal(data, v, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		if errors.Is(e, json.ErrUnknownName) {
			return fmt.Errorf("the member at %s is not known", e.JSONPointer)
		}
		return fmt.Errorf("the value at %q is not of the right type or form", e.JSONPointer)
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(e, jsontext.ErrDuplicateName) {
			return fmt.Errorf("the member at %s stands there twice", e.JSONPointer)
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

// writeJSON answers a plain route with a JSON value.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // what fails now is the connection
	return nil
}
