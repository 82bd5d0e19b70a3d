// Package packs has the profiles that come with pando, by the ecosystem that they
// are for: versioned data in the binary. A pack is a hierarchy (authorities and
// endpoints), the profiles for it, and notes on what is certain of the standard
// and what is not.
//
// It hands out text and decides nothing: policy reads a profile's document, and who
// runs a plan's commands builds the hierarchy.
//
// A document may have places for values that only its user knows, as $(vid). Source
// fills them; policy refuses a document in which one is left.
package packs

import (
	"embed"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/pando-pki/pando/internal/pki"
)

//go:embed data
var files embed.FS

// Common is the pack with what every hierarchy can use. Other packs name its
// profiles as their own.
const Common = "common"

// A Pack is what a pack.yaml says.
type Pack struct {
	Name        string      `yaml:"pack" json:"pack"`
	Version     int         `yaml:"version" json:"version"`
	Title       string      `yaml:"title" json:"title"`
	Notes       []string    `yaml:"notes" json:"notes"`
	Parameters  []Parameter `yaml:"parameters" json:"parameters"`
	Authorities []Authority `yaml:"authorities" json:"authorities"`
	Endpoints   []Endpoint  `yaml:"endpoints" json:"endpoints"`
	Profiles    []Profile   `yaml:"-" json:"profiles"` // of its own, by name
}

// A Parameter is a value that a pack's user sets.
type Parameter struct {
	Name    string `yaml:"name" json:"name"`
	Means   string `yaml:"means" json:"means"`
	Example string `yaml:"example" json:"example"`
	Default string `yaml:"default" json:"default,omitempty"` // without one it must be set
	Pattern string `yaml:"pattern" json:"pattern"`           // RE2, of the whole value
}

// An Authority is one of a pack's hierarchy. Key and PathLength are what its
// profile says, for people to see.
type Authority struct {
	Name       string            `yaml:"name" json:"name"`
	Kind       pki.AuthorityKind `yaml:"kind" json:"kind"`
	Parent     string            `yaml:"parent" json:"parent,omitempty"` // "" of a root
	Profile    string            `yaml:"profile" json:"profile"`
	CommonName string            `yaml:"commonName" json:"common_name"` // after the organization
	Key        pki.KeyKind       `yaml:"key" json:"key"`
	PathLength *int              `yaml:"pathLength" json:"path_length,omitempty"` // nil for none
}

// An Endpoint is a place to enrol at.
type Endpoint struct {
	Name      string   `yaml:"name" json:"name"`
	Authority string   `yaml:"authority" json:"authority"`
	Profile   string   `yaml:"profile" json:"profile"`
	DNS       []string `yaml:"dns" json:"dns,omitempty"` // names that it authorises; examples
}

// A Profile is a profile of a pack.
type Profile struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// Names returns the names of all packs, sorted.
func Names() []string {
	entries, err := files.ReadDir("data")
	if err != nil {
		panic(err) // the directory is in the binary
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// Get returns a pack, or NotFound.
func Get(name string) (*Pack, error) {
	if !slices.Contains(Names(), name) {
		return nil, pki.Errorf(pki.NotFound, "there is no pack %.40q", name)
	}
	text, err := files.ReadFile("data/" + name + "/pack.yaml")
	if err != nil {
		return nil, err
	}
	p := new(Pack)
	if err := yaml.UnmarshalWithOptions(text, p, yaml.Strict()); err != nil {
		return nil, err
	}
	documents, err := fs.Glob(files, "data/"+name+"/*.yaml")
	if err != nil {
		return nil, err
	}
	for _, file := range documents {
		profile := strings.TrimSuffix(file[strings.LastIndex(file, "/")+1:], ".yaml")
		if profile == "pack" {
			continue
		}
		document, err := files.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var says struct {
			Description string `yaml:"description"`
		}
		if err := yaml.Unmarshal(document, &says); err != nil {
			return nil, err
		}
		p.Profiles = append(p.Profiles, Profile{profile, strings.TrimSpace(says.Description)})
	}
	return p, nil
}

// Document returns a document as it is in its pack, whichever that is, or NotFound.
// No two packs have profiles of one name.
func Document(profile string) ([]byte, error) {
	for _, pack := range Names() {
		if text, err := document(pack, profile); err == nil {
			return text, nil
		}
	}
	return nil, pki.Errorf(pki.NotFound, "there is no profile %.40q in any pack", profile)
}

func document(pack, profile string) ([]byte, error) {
	if pki.CheckSlug("profile", profile) != nil || profile == "pack" {
		return nil, fs.ErrNotExist
	}
	return files.ReadFile("data/" + pack + "/" + profile + ".yaml")
}

// Story returns the profiles of the reference story, a maker of smart meters: those
// of the packs common, smart-meter and tls.
func Story() []string {
	return []string{
		"root", "issuing-ca", "ocsp-responder", "scep-signer", "scep-recipient", "meter", "head-end", "firmware-signing", "rni-command",
		"device", "tls-server", "tls-client",
	}
}

// place is where a document needs a value.
var place = regexp.MustCompile(`\$\(([a-z][a-z0-9-]*)\)`)

// Source returns the document of a profile of the pack, or one of the common pack
// that it uses, with its places filled: with the given values, else with defaults.
// A place without a value stays as it is. It refuses, as Malformed, a value that
// does not match its pattern, or is of no parameter.
func (p *Pack) Source(profile string, values map[string]string) ([]byte, error) {
	text, err := document(p.Name, profile)
	if err != nil {
		text, err = document(Common, profile)
	}
	if err != nil {
		return nil, pki.Errorf(pki.NotFound, "the pack %s has no profile %.40q", p.Name, profile)
	}
	if err := p.check(values); err != nil {
		return nil, err
	}
	return place.ReplaceAllFunc(text, func(found []byte) []byte {
		name := string(found[2 : len(found)-1])
		if value, ok := values[name]; ok {
			return []byte(value)
		}
		if i := slices.IndexFunc(p.Parameters, func(o Parameter) bool { return o.Name == name }); i >= 0 && p.Parameters[i].Default != "" {
			return []byte(p.Parameters[i].Default)
		}
		return found
	}), nil
}

// check refuses values that are not for the pack.
func (p *Pack) check(values map[string]string) error {
	for name, value := range values {
		i := slices.IndexFunc(p.Parameters, func(o Parameter) bool { return o.Name == name })
		if i < 0 {
			return pki.Errorf(pki.Malformed, "the pack %s has no parameter %.40q", p.Name, name)
		}
		parameter := &p.Parameters[i]
		pattern, err := regexp.Compile(`\A(?:` + parameter.Pattern + `)\z`)
		if err != nil {
			return err
		}
		if len(value) > 200 || !pattern.MatchString(value) {
			return pki.Errorf(pki.Malformed, "%s: %.80q does not match %s; as an example, %s", name, value, parameter.Pattern, parameter.Example)
		}
	}
	return nil
}
