package tbs

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

func constraintsOf(t testing.TB, permitted, excluded []Subtree) []byte {
	t.Helper()
	extension, err := NameConstraints(permitted, excluded)
	if err != nil {
		t.Fatal(err)
	}
	all, err := parseExtensions(der.Wrap(extension, 0, 0x30))
	if err != nil {
		t.Fatal(err)
	}
	return all[0].Value
}

func spaces(t testing.TB) (permitted, excluded []Subtree) {
	t.Helper()
	name, err := Name{{OID: der.OIDOrganization, Value: "Example"}}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return []Subtree{
		{Kind: DNSName, Base: "example.com"}, {Kind: IPAddress, Base: "10.0.0.0/9"}, {Kind: IPAddress, Base: "2001:db8::/33"},
		{Kind: OtherGeneralName, Name: name},
	}, []Subtree{{Kind: URI, Base: ".example.com"}, {Kind: Email, Base: "root@example.com"}}
}

func TestParseNameConstraints(t *testing.T) {
	permitted, excluded := spaces(t)
	gotPermitted, gotExcluded, err := ParseNameConstraints(constraintsOf(t, permitted, excluded))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]Subtree{permitted, excluded}, [][]Subtree{gotPermitted, gotExcluded}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, others, err := ParseNameConstraints(seq(node(0xa1, seq(node(0x88, []byte{42, 3}))))); err != nil || len(others) != 1 || others[0].Name != nil || others[0].Kind != OtherGeneralName {
		t.Errorf("a registeredID: %v, %v", others, err)
	}
	for what, value := range map[string][]byte{
		"nothing":             seq(),
		"no sequence":         {4, 0},
		"an empty list":       seq(node(0xa0)),
		"a minimum":           seq(node(0xa0, seq(node(0x82, []byte("a.example")), node(0x80, []byte{1})))),
		"a mask with a hole":  seq(node(0xa0, seq(node(0x87, []byte{10, 0, 0, 0, 255, 0, 255, 0})))),
		"a base of host bits": seq(node(0xa0, seq(node(0x87, []byte{10, 1, 0, 0, 255, 0, 0, 0})))),
		"a lone address":      seq(node(0xa0, seq(node(0x87, []byte{10, 0, 0, 0})))),
		"a NUL":               seq(node(0xa0, seq(node(0x82, []byte("a\x00b"))))),
		"no name":             seq(node(0xa0, seq(node(0xa4, []byte{4, 0})))),
		"something behind":    seq(node(0xa0, seq(node(0x82, []byte("a.example")))), node(0xa2)),
	} {
		_, _, err := ParseNameConstraints(value)
		if pki.KindOf(err) != pki.Malformed {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzParseNameConstraints(f *testing.F) {
	permitted, excluded := spaces(f)
	f.Add(constraintsOf(f, permitted, excluded))
	f.Fuzz(func(t *testing.T, value []byte) {
		permitted, excluded, err := ParseNameConstraints(value)
		if err != nil {
			if pki.KindOf(err) != pki.Malformed {
				t.Fatal(err)
			}
			return
		}
		if len(permitted) > maxSubtrees || len(excluded) > maxSubtrees {
			t.Fatalf("%d and %d name spaces", len(permitted), len(excluded))
		}
	})
}
