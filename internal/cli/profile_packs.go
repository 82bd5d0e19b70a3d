package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/packs"
)

// profilePacks is "pando profile packs".
type profilePacks struct {
	Pack    string            `arg:"" optional:"" help:"Print this pack (default: list them)."`
	Profile string            `arg:"" optional:"" help:"Print the document of this profile of the pack."`
	Set     map[string]string `placeholder:"NAME=VALUE" help:"Value of a parameter of the pack, in the document; may be repeated."`
}

func (profilePacks) Help() string {
	return `A pack is what an ecosystem asks for: a hierarchy, profiles, and notes on what is not certain. A document has its parameters as $(name) until --set gives them values; 'pando profile lint' refuses one in which any is left. 'pando authority template' prints how to build a pack's hierarchy.

Examples:

    pando profile packs
    pando profile packs smart-meter
    pando profile packs smart-meter meter > meter.yaml
    pando profile packs matter matter-dac --set vid=FFF1 --set pid=8000 > matter-dac.yaml`
}

// packed is one line of the list of packs.
type packed struct {
	Name     string   `json:"pack"`
	Version  int      `json:"version"`
	Title    string   `json:"title"`
	Profiles []string `json:"profiles"`
}

// Run lists the packs, or prints one, or one profile of it.
func (p *profilePacks) Run(c *console) error {
	switch {
	case p.Profile == "" && len(p.Set) > 0:
		return usagef("--set is for the document of a profile: name the profile too")
	case p.Pack == "":
		return p.list(c)
	}
	pack, err := packs.Get(p.Pack)
	if err != nil {
		return hintf(err, "'pando profile packs' lists their names")
	}
	if p.Profile == "" {
		return c.result(pack, func(w io.Writer) error { return printPack(w, pack) })
	}
	source, err := pack.Source(p.Profile, p.Set)
	if err != nil {
		return hintf(err, "'pando profile packs %s' lists its profiles and parameters", p.Pack)
	}
	return c.result(client.NewProfile{Source: string(source)}, func(w io.Writer) error {
		_, err := w.Write(source)
		return err
	})
}

func (p *profilePacks) list(c *console) error {
	var items []packed
	t := table{heading: []string{"PACK", "VERSION", "WHAT IT IS FOR"}}
	for _, name := range packs.Names() {
		pack, err := packs.Get(name)
		if err != nil {
			return err
		}
		item := packed{pack.Name, pack.Version, pack.Title, nil}
		for _, x := range pack.Profiles {
			item.Profiles = append(item.Profiles, x.Name)
		}
		items = append(items, item)
		t.add(item.Name, item.Version, item.Title)
	}
	return c.result(client.List[packed]{Items: items}, t.write)
}

// printPack prints a pack for people.
func printPack(w io.Writer, pack *packs.Pack) error {
	fmt.Fprintf(w, "%s, version %d: %s\n\n", pack.Name, pack.Version, pack.Title)
	for _, note := range pack.Notes {
		fmt.Fprintf(w, "- %s\n", strings.TrimSpace(note))
	}
	fmt.Fprintln(w)
	authorities := table{heading: []string{"AUTHORITY", "KIND", "UNDER", "PROFILE", "KEY", "PATH LENGTH"}}
	for _, a := range pack.Authorities {
		length := ""
		if a.PathLength != nil {
			length = fmt.Sprint(*a.PathLength)
		}
		authorities.add(a.Name, a.Kind, a.Parent, a.Profile, a.Key, length)
	}
	endpoints := table{heading: []string{"ENDPOINT", "AUTHORITY", "PROFILE"}}
	for _, e := range pack.Endpoints {
		endpoints.add(e.Name, e.Authority, e.Profile)
	}
	profiles := table{heading: []string{"PROFILE", "WHAT IT IS FOR"}}
	for _, x := range pack.Profiles {
		profiles.add(x.Name, x.Description)
	}
	parameters := table{heading: []string{"PARAMETER", "DEFAULT", "EXAMPLE", "WHAT IT IS"}}
	for _, o := range pack.Parameters {
		parameters.add(o.Name, o.Default, o.Example, o.Means)
	}
	for i, t := range []table{authorities, endpoints, profiles, parameters} {
		if len(t.rows) == 0 {
			continue
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := t.write(w); err != nil {
			return err
		}
	}
	return nil
}
