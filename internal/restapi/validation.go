package restapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// expectations are what huma says that it expects, by how it begins, and how the
// API says it; a %s is the rest.
var expectations = []struct{ begins, ours string }{
	{"expected value to be one of ", "must be one of %s"},
	{"expected number >= ", "must be at least %s"},
	{"expected number <= ", "must be at most %s"},
	{"expected number > ", "must be more than %s"},
	{"expected number < ", "must be less than %s"},
	{"expected length >= ", "must have at least %s characters"},
	{"expected length <= ", "must have at most %s characters"},
	{"expected array length >= ", "must have at least %s items"},
	{"expected array length <= ", "must have at most %s items"},
	{"expected array items to be unique", "must not have the same item twice"},
	{"expected string to match pattern ", "must match the pattern %s"},
	{"expected string to be the next of", "must be the next of%s"},
	{"expected string to be RFC 3339 date-time", "must be a time as 2026-03-01T12:00:00Z (RFC 3339)"},
	{"invalid date/time", "must be a time as 2026-03-01T12:00:00Z (RFC 3339)"},
	{"expected string to be RFC 3339 date", "must be a day as 2026-03-01"},
	{"expected string to be base64 encoded", "must be base64"},
	{"expected boolean", "must be true or false"},
	{"invalid boolean", "must be true or false"},
	{"expected integer", "must be a whole number"},
	{"invalid integer", "must be a whole number"},
	{"expected number", "must be a number"},
	{"expected string", "must be a string"},
	{"expected array", "must be a list"},
	{"expected object", "must be a JSON object"},
	{"expected at most one value", "may be given once"},
}

// inOurWords says what is wrong with a part of a request, of which huma found that
// it is not as its schema has it: what it is, where that is short, and what is
// allowed.
func inOurWords(d *huma.ErrorDetail) string {
	switch {
	case d.Message == "unexpected property":
		return "there is no such member: /api/v1/openapi.json has those that there are"
	case strings.HasPrefix(d.Message, "expected required property ") && strings.HasSuffix(d.Message, " to be present"):
		return "the member " + strings.TrimSuffix(strings.TrimPrefix(d.Message, "expected required property "), " to be present") + " is missing"
	case strings.HasPrefix(d.Message, "required ") && strings.HasSuffix(d.Message, " parameter is missing"):
		return "is missing"
	}
	for _, e := range expectations {
		rest, ok := strings.CutPrefix(d.Message, e.begins)
		if !ok {
			continue
		}
		must := e.ours
		if strings.Contains(must, "%s") {
			must = fmt.Sprintf(must, strings.Trim(rest, `"`))
			if rest == "1" {
				must = strings.TrimSuffix(must, "s")
			}
		}
		if is := found(d.Value, strings.Contains(d.Message, "length")); is != "" {
			return is + ", and " + must
		}
		return must
	}
	return d.Message
}

// found says what a value is: how long, where that is what counts, else its type,
// or itself where it is a number. What was sent is not repeated besides: it may be
// a secret, and problems are logged.
func found(value any, length bool) string {
	switch v := value.(type) {
	case string:
		if length {
			return fmt.Sprintf("has %d", utf8.RuneCountInString(v))
		}
		return ""
	case []any:
		if length {
			return fmt.Sprintf("has %d", len(v))
		}
		return "is a list"
	case map[string]any:
		return "is an object"
	case bool:
		return fmt.Sprintf("is %t", v)
	case nil:
		return ""
	case int, int32, int64, uint, uint32, uint64, float32, float64, json.Number:
		return fmt.Sprintf("is %v", v)
	}
	return ""
}
