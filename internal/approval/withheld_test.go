package approval_test

import (
	"testing"

	"github.com/pando-pki/pando/internal/approval"
)

func TestShown(t *testing.T) {
	for payload, want := range map[string]string{
		``:                                    ``,
		`{"a":"b","c":[1]}`:                   `{"a":"b","c":[1]}`,
		`{"a":{"withheld":1}}`:                `{"a":{"withheld":1}}`,
		`{"a":"\"withheld\"","b":1}`:          `{"a":"\"withheld\"","b":1}`,
		`{"a":1,"withheld":{"b":2},"x":"é<"}`: `{"a":1,"x":"é<"}`,
		`{"a":1,"withheld":{"b":2}`:           ``, // damaged
	} {
		if got := string(approval.Shown([]byte(payload))); got != want {
			t.Errorf("%s is shown as %s, want %s", payload, got, want)
		}
	}
}
