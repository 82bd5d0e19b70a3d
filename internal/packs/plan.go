package packs

import (
	"maps"
	"slices"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
)

// Where a step is done.
const (
	Offline = "offline" // on the machine of the ceremony
	Online  = "online"  // wherever the tenant's administrator talks to the server
)

// A Step is one command of a plan. Files go between the places on media; who has
// both on one machine runs the steps as they come.
type Step struct {
	Where   string   `json:"where"`
	What    string   `json:"what"`
	Command []string `json:"command"`
	Output  string   `json:"output,omitempty"` // file that standard output goes to
}

// PlanConfig is what a plan is made for.
type PlanConfig struct {
	Organization string // as the tenant's
	Mode         pki.Mode
	StatusURL    string
	Values       map[string]string // of the pack's parameters
}

// Plan returns the commands that build the pack's hierarchy in an empty tenant. It
// refuses, as Malformed, where a parameter that the hierarchy needs is not set.
func (p *Pack) Plan(cfg PlanConfig) ([]Step, error) {
	if len(p.Authorities) == 0 {
		return nil, pki.Errorf(pki.Malformed, "the pack %s has profiles, and no hierarchy of its own", p.Name)
	}
	b := &planner{pack: p, cfg: cfg, parent: make(map[string]*Authority)}
	if err := b.documents(); err != nil {
		return nil, err
	}
	for i := range p.Authorities {
		a := &p.Authorities[i]
		b.parent[a.Name] = a
		if a.Kind == pki.Root {
			b.root(a)
		} else {
			b.authority(a)
		}
	}
	for _, a := range p.Authorities {
		if a.Kind == pki.Root {
			b.crl(a.Name)
		}
	}
	for _, e := range p.Endpoints {
		command := []string{"pando", "endpoint", "create", e.Name, "--authority", e.Authority, "--profile", e.Profile}
		for _, name := range e.DNS {
			command = append(command, "--dns", name)
		}
		b.add(Online, "a place to enrol at", "", command...)
	}
	return b.steps, nil
}

type planner struct {
	pack   *Pack
	cfg    PlanConfig
	steps  []Step
	parent map[string]*Authority // those that there are, by name
}

func (b *planner) add(where, what, output string, command ...string) {
	b.steps = append(b.steps, Step{where, what, command, output})
}

// needed returns the profiles of the hierarchy, each once, with that of the
// responders, which every tenant needs.
func (p *Pack) needed() []string {
	var names []string
	for _, a := range p.Authorities {
		names = append(names, a.Profile)
	}
	names = append(names, "ocsp-responder")
	for _, e := range p.Endpoints {
		names = append(names, e.Profile)
	}
	seen := make(map[string]bool)
	return slices.DeleteFunc(names, func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
}

// documents writes the profiles and publishes those that the server needs: a root's
// is the ceremony's alone.
func (b *planner) documents() error {
	offline := func(profile string) bool {
		return slices.ContainsFunc(b.pack.Authorities, func(a Authority) bool { return a.Kind == pki.Root && a.Profile == profile })
	}
	for _, name := range b.pack.needed() {
		text, err := b.pack.Source(name, b.cfg.Values)
		if err != nil {
			return err
		}
		if left := place.FindSubmatch(text); left != nil {
			return b.pack.missing(string(left[1]))
		}
		pack := b.pack.Name
		if _, err := document(pack, name); err != nil {
			pack = Common
		}
		command := []string{"pando", "profile", "packs", pack, name}
		if pack == b.pack.Name {
			raw, err := document(pack, name)
			if err != nil {
				return err
			}
			for _, parameter := range slices.Sorted(maps.Keys(b.cfg.Values)) {
				if strings.Contains(string(raw), "$("+parameter+")") {
					command = append(command, "--set", parameter+"="+b.cfg.Values[parameter])
				}
			}
		}
		where := Online
		if offline(name) {
			where = Offline
		}
		b.add(where, "the profile "+name, name+".yaml", command...)
		if where == Online {
			b.add(Online, "publish it", "", "pando", "profile", "publish", name+".yaml")
		}
	}
	return nil
}

// missing says what a parameter that is not set is for.
func (p *Pack) missing(name string) error {
	for _, o := range p.Parameters {
		if o.Name == name {
			return pki.Errorf(pki.Malformed, "the pack %s needs a value of yours: --set %s=%s (%s)", p.Name, name, o.Example, o.Means)
		}
	}
	return pki.Errorf(pki.Malformed, "the pack %s has no parameter %q", p.Name, name)
}

func (b *planner) root(a *Authority) {
	b.add(Offline, "ceremony: make the root", "", "pando", "ceremony", "root", "--common-name", b.cfg.Organization+" "+a.CommonName,
		"--organization", b.cfg.Organization, "--mode", string(b.cfg.Mode), "--profile", a.Profile+".yaml",
		"--out", a.Name+".sealed", "--certificate", a.Name+".pem")
	b.add(Online, "make the root known", "", "pando", "authority", "import-root", a.Name, "--mode", string(b.cfg.Mode),
		"--status-url", b.cfg.StatusURL, "--certificate", a.Name+".pem")
}

// authority makes one; its certificate comes from a ceremony where its parent is a
// root, else at once.
func (b *planner) authority(a *Authority) {
	b.add(Online, "the authority and its key", "", "pando", "authority", "create", a.Name, "--parent", a.Parent, "--kind", string(a.Kind),
		"--profile", a.Profile, "--common-name", b.cfg.Organization+" "+a.CommonName, "--status-url", b.cfg.StatusURL)
	if parent := b.parent[a.Parent]; parent == nil || parent.Kind != pki.Root {
		return
	}
	request, answer := a.Name+".request.json", a.Name+".answer.json"
	b.add(Online, "what the ceremony is asked for", "", "pando", "authority", "request", a.Name, "--out", request)
	b.add(Offline, "ceremony: sign it", "", "pando", "ceremony", "sign", "--root", a.Parent+".sealed", "--request", request, "--out", answer)
	b.add(Online, "hand it in", "", "pando", "authority", "install", answer)
}

func (b *planner) crl(root string) {
	request, answer := root+"-crl.request.json", root+"-crl.answer.json"
	b.add(Online, "the root's first CRL", "", "pando", "authority", "crl-request", root, "--days", "180", "--out", request)
	b.add(Offline, "ceremony: sign it", "", "pando", "ceremony", "sign", "--root", root+".sealed", "--request", request, "--out", answer)
	b.add(Online, "hand it in", "", "pando", "authority", "install", answer)
}
