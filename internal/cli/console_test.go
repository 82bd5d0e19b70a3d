package cli

import (
	"errors"
	"slices"
	"testing"

	"github.com/pando-pki/pando/client"
)

// TestFirstFound: a search goes on over pages in which nothing fits, and no further.
func TestFirstFound(t *testing.T) {
	pages := map[string]*client.List[string]{"": {Next: "a"}, "a": {Next: "b"}, "b": {Items: []string{"x"}, Next: "c"}, "c": {Items: []string{"y"}, Next: "d"}, "d": {}}
	for from, want := range map[string]struct {
		asked []string
		found *client.List[string]
	}{
		"":  {[]string{"", "a", "b"}, pages["b"]},
		"c": {[]string{"c"}, pages["c"]},
		"d": {[]string{"d"}, pages["d"]},
	} {
		var asked []string
		got, err := firstFound(from, func(cursor string) (*client.List[string], error) {
			asked = append(asked, cursor)
			return pages[cursor], nil
		})
		if err != nil || got != want.found || !slices.Equal(asked, want.asked) {
			t.Errorf("from %q: %+v, asked %q, %v", from, got, asked, err)
		}
	}
	fault := errors.New("no answer")
	if _, err := firstFound("", func(string) (*client.List[string], error) { return nil, fault }); err != fault {
		t.Error(err)
	}
}
