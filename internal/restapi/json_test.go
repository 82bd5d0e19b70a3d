package restapi

import (
	stdjson "encoding/json"
	"strings"
	"testing"

	"github.com/pando-pki/pando/client"
)

func TestDecodeIsStrict(t *testing.T) {
	tests := []struct {
		name, in, want string // part of the error; "" for none
	}{
		{"good", `{"id":"demo","organization":"Demo"}`, ""},
		{"duplicate", `{"id":"demo","id":"other"}`, "twice"},
		{"unknown member", `{"id":"demo","admin":true}`, "not known"},
		{"other case", `{"ID":"demo"}`, "not known"},
		{"wrong type", `{"id":5}`, "right type"},
		{"huge integer", `{"id":` + strings.Repeat("9", 400) + `}`, "right type"},
		{"invalid UTF-8", "{\"id\":\"\xff\"}", "not valid JSON"},
		{"lone surrogate", `{"id":"\ud800"}`, "not valid JSON"},
		{"two values", `{} {}`, "not valid JSON"},
		{"cut", `{"id":"de`, "not valid JSON"},
		{"empty", ``, "not valid JSON"},
		{"deep", strings.Repeat("[", 33) + strings.Repeat("]", 33), "nests deeper"},
		{"deep garbage", strings.Repeat(`{"a":`, 100_000), "nests deeper"},
		{"brackets in a string", `{"id":"` + strings.Repeat("[", 100) + `\"[[["}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := decode([]byte(tt.in), new(client.NewTenant))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want an error with %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "client."):
				t.Errorf("the error shows Go's types: %v", err)
			}
		})
	}
}

// FuzzDecode holds the decoder to two things: what it takes, encoding/json takes
// as well and gives the same text again, and it never nests deeper than maxDepth.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"endpoint":"demo.meter","csr":"MIIB","attributes":{"a":"b"}}`))
	f.Add([]byte(`[{"a":[1,2,{"b":null}]},"\"[{"]`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if decode(data, &v) != nil {
			return
		}
		if !stdjson.Valid(data) {
			t.Fatalf("took %q, which is not JSON", data)
		}
		if got := nesting(v); got > maxDepth || got > depth(data) {
			t.Fatalf("%q nests %d deep; depth says %d", data, got, depth(data))
		}
		_ = decode(data, new(client.Enrollment))
	})
}

func nesting(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, item := range v {
			deepest = max(deepest, nesting(item))
		}
	case []any:
		for _, item := range v {
			deepest = max(deepest, nesting(item))
		}
	default:
		return 0
	}
	return deepest + 1
}
