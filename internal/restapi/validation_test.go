package restapi

import (
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
)

// TestInOurWords: what huma's schemas refuse is said as what it is and what is
// allowed, and none of huma's own sentences is left.
func TestInOurWords(t *testing.T) {
	for _, c := range []struct {
		says  string
		value any
		want  string
	}{
		{"expected number <= 1000", int64(5000), "is 5000, and must be at most 1000"},
		{"expected number >= 0", -1.0, "is -1, and must be at least 0"},
		{"expected length <= 3", "four", "has 4, and must have at most 3 characters"},
		{"expected array length >= 1", []any{}, "has 0, and must have at least 1 item"},
		{`expected value to be one of "open, closed"`, "ajar", "must be one of open, closed"},
		{"expected required property endpoint to be present", map[string]any{}, "the member endpoint is missing"},
		{"required query parameter is missing", "", "is missing"},
		{validation.MsgUnexpectedProperty, map[string]any{}, "there is no such member: /api/v1/openapi.json has those that there are"},
		{validation.MsgExpectedInteger, "5", "must be a whole number"},
		{"invalid integer", "abc", "must be a whole number"},
		{validation.MsgExpectedString, true, "is true, and must be a string"},
		{validation.MsgExpectedBoolean, "yes", "must be true or false"},
		{validation.MsgExpectedObject, []any{}, "is a list, and must be a JSON object"},
		{validation.MsgExpectedArray, map[string]any{}, "is an object, and must be a list"},
		{validation.MsgExpectedNumber, nil, "must be a number"},
		{validation.MsgExpectedRFC3339DateTime, "yesterday", "must be a time as 2026-03-01T12:00:00Z (RFC 3339)"},
		{validation.MsgExpectedBase64String, "!", "must be base64"},
		{"it ends in the middle of its JSON", nil, "it ends in the middle of its JSON"},
	} {
		if got := inOurWords(&huma.ErrorDetail{Message: c.says, Value: c.value}); got != c.want {
			t.Errorf("%s, of %v: %q, want %q", c.says, c.value, got, c.want)
		}
	}
}
