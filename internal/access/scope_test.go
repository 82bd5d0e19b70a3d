package access_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

func TestScopeText(t *testing.T) {
	for text, want := range map[string]access.Scope{
		"tenant":                               {},
		"authority:issuing":                    {Authority: "issuing"},
		"product-line:pro":                     {ProductLine: "pro"},
		"site:Brno 2":                          {Site: "Brno 2"},
		"endpoint:meter":                       {Endpoint: "meter"},
		"authority:a+product-line:p+site:s":    {Authority: "a", ProductLine: "p", Site: "s"},
		"product-line:a:b":                     {ProductLine: "a:b"},
		"product-line:50%25%2B1%2Cx+site:x%2B": {ProductLine: "50%+1,x", Site: "x+"},
	} {
		got, err := access.ParseScope(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s is %+v, %v, and back %s", text, got, err, got)
		}
	}
	if got, err := access.ParseScope("site:s+authority:a"); err != nil || got.String() != "authority:a+site:s" {
		t.Errorf("in another order: %s, %v", got, err)
	}
	for _, text := range []string{"", "Tenant", "tenant+site:s", "site", "site:", "site:s+", "+", "site:s+site:t", "site:s++authority:a",
		"lot:7", "authority:A", "authority:a b", "endpoint:a.b", "site: x", "site:ü", "site:a%", "site:a%2b", "site:a%20b", "site:a,b",
		"site:" + strings.Repeat("x", 129), strings.Repeat("site:x+", 1000)} {
		if got, err := access.ParseScope(text); err == nil || pki.KindOf(err) != pki.Malformed || got != (access.Scope{}) {
			t.Errorf("%.60q: %+v, %v", text, got, err)
		}
	}
}

func TestScopeCovers(t *testing.T) {
	for _, test := range []struct {
		scope, where string
		covers       bool
	}{
		{"tenant", "tenant", true},
		{"tenant", "site:s", true},
		{"site:s", "tenant", false},
		{"site:s", "site:s", true},
		{"site:s", "site:t", false},
		{"site:s", "endpoint:s", false},
		{"site:s", "authority:a+site:s", true},
		{"authority:a+site:s", "site:s", false},
		{"authority:a+product-line:p+site:s+endpoint:e", "authority:a+product-line:p+site:s+endpoint:e", true},
		{"authority:a+product-line:p+site:s+endpoint:e", "authority:a+product-line:p+site:s+endpoint:f", false},
	} {
		if got := scope(t, test.scope).Covers(scope(t, test.where)); got != test.covers {
			t.Errorf("%s covers %s: %t", test.scope, test.where, got)
		}
	}
}

func scope(t testing.TB, text string) access.Scope {
	t.Helper()
	s, err := access.ParseScope(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// FuzzScope: what is read is written as it was, and read as the same again.
func FuzzScope(f *testing.F) {
	for _, text := range []string{"tenant", "authority:a+product-line:p+site:s+endpoint:e", "site:%25%2B", "product-line:a:b+", "site:a+site:b", "authority:" + strings.Repeat("\xe2", 1000)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := access.ParseScope(text)
		if err != nil {
			if pki.KindOf(err) != pki.Malformed || len(err.Error()) > 1000 { // 80 characters are at most 800 bytes when quoted
				t.Errorf("%v", err)
			}
			return
		}
		again, err := access.ParseScope(s.String())
		if err != nil || again != s {
			t.Errorf("%q is %+v and again %+v, %v", text, s, again, err)
		}
		parts, back := strings.Split(text, "+"), strings.Split(s.String(), "+")
		slices.Sort(parts)
		slices.Sort(back)
		if !slices.Equal(parts, back) {
			t.Errorf("%q is written %q", text, s)
		}
	})
}
