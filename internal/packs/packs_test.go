package packs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/policy"
)

// TestPacks holds each pack to its plan: what it names is there, what it says of
// keys and path lengths is what its profiles say, and profiles of all packs have
// names of their own.
func TestPacks(t *testing.T) {
	owner := make(map[string]string)
	var everywhere []string
	for _, name := range packs.Names() {
		p := get(t, name)
		if p.Name != name || p.Version < 1 || p.Title == "" || len(p.Notes) == 0 {
			t.Errorf("%s: %+v", name, p)
		}
		used := slices.Clone(ownProfiles)
		for _, x := range p.Profiles {
			if other := owner[x.Name]; other != "" {
				t.Errorf("profile %s is in %s and %s", x.Name, other, name)
			}
			owner[x.Name] = name
			profile := profileOf(t, p, x.Name, nil)
			if profile.Name() != x.Name || x.Description == "" || profile.Description() == "" {
				t.Errorf("%s: the document of %s names itself %s, and is for %q", name, x.Name, profile.Name(), x.Description)
			}
		}
		kinds := make(map[string]pki.AuthorityKind)
		for _, a := range p.Authorities {
			profile := profileOf(t, p, a.Profile, nil)
			used = append(used, a.Profile)
			if a.Key != profile.KeyKinds()[0] || len(profile.KeyKinds()) != 1 || !profile.CA() {
				t.Errorf("%s: %s has a key of kind %s, and its profile allows %v", name, a.Name, a.Key, profile.KeyKinds())
			}
			if (a.Kind == pki.Root) != (a.Parent == "") || a.Parent != "" && kinds[a.Parent] == "" || kinds[a.Parent] == pki.Issuing {
				t.Errorf("%s: %s, %s, is below %q", name, a.Name, a.Kind, a.Parent)
			}
			kinds[a.Name] = a.Kind
		}
		tr := grow(t, p)
		for _, a := range p.Authorities {
			certificate := parse(t, tr.authorities[a.Name].der)
			want := -1
			if a.PathLength != nil {
				want = *a.PathLength
			}
			if certificate.MaxPathLen != want {
				t.Errorf("%s: %s has path length %d, its profile gives %d", name, a.Name, want, certificate.MaxPathLen)
			}
		}
		for _, e := range p.Endpoints {
			used = append(used, e.Profile)
			if kinds[e.Authority] != pki.Issuing || profileOf(t, p, e.Profile, nil).CA() {
				t.Errorf("%s: endpoint %+v", name, e)
			}
		}
		everywhere = append(everywhere, used...)
		for _, x := range p.Profiles {
			if name != packs.Common && !slices.Contains(used, x.Name) {
				t.Errorf("%s: nothing uses %s", name, x.Name)
			}
		}
	}
	for _, x := range get(t, packs.Common).Profiles {
		if !slices.Contains(everywhere, x.Name) {
			t.Errorf("no pack uses %s", x.Name)
		}
	}
	for _, name := range packs.Story() {
		if pack := owner[name]; pack != packs.Common && pack != "smart-meter" && pack != "tls" {
			t.Errorf("the story's %s is in pack %q", name, pack)
		}
		text, err := packs.Document(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Parse(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestParameters fills each parameter, and leaves it out: then policy refuses the
// document and names it.
func TestParameters(t *testing.T) {
	for _, name := range packs.Names() {
		p := get(t, name)
		used := make(map[string]bool)
		for _, x := range p.Profiles {
			text, err := p.Source(x.Name, nil)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := packs.Document(x.Name)
			if err != nil {
				t.Fatal(err)
			}
			open := false
			for _, o := range p.Parameters {
				if strings.Contains(string(raw), "$("+o.Name+")") {
					used[o.Name] = true
					open = open || o.Default == ""
				}
			}
			_, err = policy.Parse(text)
			if open != (err != nil) || open && !strings.Contains(pki.DetailOf(err), "is a place for a value of yours") {
				t.Errorf("%s: %s without values: %v", name, x.Name, err)
			}
		}
		for _, o := range p.Parameters {
			if !used[o.Name] || o.Means == "" || o.Pattern == "" {
				t.Errorf("%s: parameter %+v", name, o)
			}
			for _, wrong := range []string{"", "'", "x: y", "\n", strings.Repeat(o.Example, 200)} {
				if _, err := p.Source(p.Profiles[0].Name, map[string]string{o.Name: wrong}); pki.KindOf(err) != pki.Malformed {
					t.Errorf("%s: %s is %.20q: %v", name, o.Name, wrong, err)
				}
			}
		}
		if _, err := p.Source(p.Profiles[0].Name, map[string]string{"nothing": "x"}); pki.KindOf(err) != pki.Malformed {
			t.Errorf("%s: a parameter that it does not have: %v", name, err)
		}
	}
}

func TestNotFound(t *testing.T) {
	for _, name := range []string{"nothing", "", "..", "../data", "pack"} {
		if _, err := packs.Get(name); pki.KindOf(err) != pki.NotFound {
			t.Errorf("pack %q: %v", name, err)
		}
		if _, err := packs.Document(name); pki.KindOf(err) != pki.NotFound {
			t.Errorf("profile %q: %v", name, err)
		}
		if _, err := get(t, packs.Common).Source(name, nil); pki.KindOf(err) != pki.NotFound {
			t.Errorf("profile %q of a pack: %v", name, err)
		}
	}
}
