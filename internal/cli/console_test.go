package cli

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/approval"
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

// TestOthersText: what somebody else wrote makes no rows of a table, and steers no
// terminal.
func TestOthersText(t *testing.T) {
	var rows table
	rows.add("rules", "b\nnarrows  rules", "\x1b[2J", "\u202ex", "\u009b2J", "a\tb")
	rows.add("plain", "Größe 5 \"x\"", `a\b`, "", "", "")
	var got strings.Builder
	if err := rows.write(&got); err != nil {
		t.Fatal(err)
	}
	want := `rules  "b\nnarrows  rules"  "\x1b[2J"  "\u202ex"  "\u009b2J"  "a\tb"` + "\n" +
		`plain  Größe 5 "x"          a\b        -          -           -` + "\n"
	if got.String() != want {
		t.Errorf("\n got %q\nwant %q", got.String(), want)
	}
	got.Reset()
	if err := writePayload(t.Context(), &got, nil, &client.Change{Kind: string(approval.PublishProfile), Payload: `{"source": "profile: x # \u001b[2J\n"}`}); err == nil {
		t.Error("a document that is none is compared")
	}
	if err := writePayload(t.Context(), &got, nil, &client.Change{Kind: "other", Payload: "{\"a\": \"\u202e\"}"}); err != nil {
		t.Error(err)
	}
	if !strings.Contains(got.String(), `profile: x # \x1b[2J`) || !strings.Contains(got.String(), `"a": "\u202e"`) {
		t.Errorf("the payloads are shown as %q", got.String())
	}
	if got, want := lines("a: \"ö\"\n\t# \x1b[2J\r\u202e\u009b\n"), "a: \"ö\"\n\t# \\x1b[2J\\r\\u202e\\u009b\n"; got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}
