package strictjson

import (
	"encoding/json"
	"strings"
	"testing"
)

type value struct {
	Name string           `json:"name"`
	More map[string]value `json:"more"`
}

func TestUnmarshalRefuses(t *testing.T) {
	for _, c := range []struct{ name, in, say string }{
		{"twice", `{"name":"a","name":"b"}`, `the member at "/name" stands there twice`},
		{"twice within", `{"more":{"x":{"name":"a","name":"b"}}}`, `the member at "/more/x/name" stands there twice`},
		{"unknown", `{"names":1}`, `the member at "/names" is not known`},
		{"another case", `{"Name":"a"}`, `the member at "/Name" is not known`},
		{"type", `{"name":1}`, `the value at "/name" is not of the right type or form`},
		{"cut", `{"name":"a"`, "it ends in the middle of its JSON"},
		{"empty", ``, "it ends in the middle of its JSON"},
		{"garbage", `name`, "not valid JSON at byte 1"},
		{"after", `{} {}`, "not valid JSON at byte 3"},
		{"huge integer", `{"name":` + strings.Repeat("9", 400) + `}`, `the value at "/name" is not of the right type or form`},
		{"lone surrogate", `{"name":"\ud800"}`, "not valid JSON at byte 9"},
		{"UTF-8", "{\"name\":\"\xff\"}", "not valid JSON at byte 9"},
		{"deep", strings.Repeat(`{"more":{"x":`, 20) + "{}" + strings.Repeat("}}", 20), "the JSON nests deeper than 32 levels"},
		{"very deep", strings.Repeat("[", 1<<20), "the JSON nests deeper than 32 levels"},
	} {
		var v value
		if err := Unmarshal([]byte(c.in), &v); err == nil || err.Error() != c.say {
			t.Errorf("%s: %v, not %q", c.name, err, c.say)
		}
	}
	var v value
	if err := Unmarshal([]byte(` {"name":"{[\"","more":{"x":{}}} `), &v); err != nil || v.Name != `{["` {
		t.Errorf("good JSON: %+v, %v", v, err)
	}
}

// FuzzUnmarshal holds the reader to two things: what it takes, encoding/json takes
// as well, and it never nests deeper than MaxDepth.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"name":"a","more":{"x":{}}}`))
	f.Add([]byte(`[{"a":[1,2,{"b":null}]},"\"[{"]`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = Unmarshal(data, new(value))
		var v any
		if Unmarshal(data, &v) != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("took %q, which is not JSON", data)
		}
		if got := nesting(v); got > MaxDepth {
			t.Fatalf("%q nests %d deep", data, got)
		}
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
