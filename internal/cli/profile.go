package cli

import (
	"context"
	"io"
	"slices"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/policy"
)

// profileCommand is "pando profile".
type profileCommand struct {
	Publish  profilePublish  `cmd:"" help:"Publish a document as the next version of the profile that it names."`
	List     profileList     `cmd:"" help:"List the tenant's profiles, the latest version of each."`
	Versions profileVersions `cmd:"" help:"List the versions of a profile: when each was published, and by whom."`
	Show     profileShow     `cmd:"" help:"Print a profile's document."`
	Packs    profilePacks    `cmd:"" help:"List or print the packs that come with pando, and their profiles."`
	Lint     profileLint     `cmd:"" help:"Check a document without a server."`
	Test     profileTry      `cmd:"" help:"Issue a throw-away certificate for a sample request, and print what is in it."`
	Diff     profileDiff     `cmd:"" help:"Show what differs between two documents, and whether more may be issued."`
}

func (profileCommand) Help() string {
	return `A profile is the rules for one type of certificate, as a YAML document. A published version never changes.`
}

// maxProfile is the size of the largest profile document, in bytes.
const maxProfile = 1 << 20

// profilePublish is "pando profile publish".
type profilePublish struct {
	File string `arg:"" help:"The document; - is standard input."`
}

func (profilePublish) Help() string {
	return `The document of the latest version again publishes nothing, and says so. An endpoint goes on with the version that it has until 'pando endpoint update'.

Examples:

    pando profile packs smart-meter meter > meter.yaml
    pando profile lint meter.yaml
    pando profile publish meter.yaml`
}

// Run publishes the document.
func (p *profilePublish) Run(ctx context.Context, c *console, cl *client.Client) error {
	source, err := c.readInput(p.File, maxProfile)
	if err != nil {
		return err
	}
	made, err := cl.PublishProfile(ctx, source)
	if err != nil {
		return err
	}
	if made.Repeated {
		c.note("version %d has this content already; nothing was published", made.Version)
	}
	p.look(ctx, c, cl, source, made)
	return c.result(made, profiles(*made).write)
}

// look notes what publishing alone does not do: make an authority that the document
// names, and have endpoints take the new version. The profile is published whatever
// a token may read.
func (p *profilePublish) look(ctx context.Context, c *console, cl *client.Client, source []byte, made *client.Profile) {
	if parsed, err := policy.Parse(source); err == nil {
		authorities, err := cl.Authorities(ctx)
		for _, name := range parsed.Authorities() {
			if err == nil && !slices.ContainsFunc(authorities, func(a client.Authority) bool { return a.Name == name }) {
				c.note("warning: the tenant has no authority %q, which the document names in authorities; 'pando authority list' lists what there is", name)
			}
		}
	}
	endpoints, err := cl.Endpoints(ctx)
	if err != nil {
		return
	}
	for _, e := range endpoints {
		if e.Profile.Name == made.Name && e.Profile.Version < made.Version {
			c.note("endpoint %s goes on with version %d: 'pando endpoint update %s --profile %s' has it take this one", e.Label, e.Profile.Version, e.Name, made.Name)
		}
	}
}

// profileList is "pando profile list".
type profileList struct{}

// Run lists the profiles.
func (profileList) Run(ctx context.Context, c *console, cl *client.Client) error {
	items, err := cl.Profiles(ctx)
	if err != nil {
		return err
	}
	return c.list(client.List[client.Profile]{Items: items}, profiles(items...), "", "")
}

// profileVersions is "pando profile versions".
type profileVersions struct {
	Name string `arg:"" help:"Name of the profile."`
}

func (profileVersions) Help() string {
	return `The latest comes first. 'pando profile show NAME --version N' prints a version's document, and 'pando profile diff NAME@1 NAME@2' what differs between two.

Examples:

    pando profile versions meter`
}

// Run lists the versions.
func (p *profileVersions) Run(ctx context.Context, c *console, cl *client.Client) error {
	items, err := cl.ProfileVersions(ctx, p.Name)
	if err != nil {
		return err
	}
	return c.result(client.List[client.Profile]{Items: items}, func(w io.Writer) error {
		t := table{heading: []string{"VERSION", "PUBLISHED", "BY", "HASH"}}
		for _, x := range items {
			t.add(x.Version, when(x.Created), x.By, x.Hash)
		}
		return t.write(w)
	})
}

// profileShow is "pando profile show".
type profileShow struct {
	Name    string `arg:"" help:"Name of the profile."`
	Version int    `placeholder:"N" help:"Version (default: the latest)."`
}

func (profileShow) Help() string {
	return `Examples:

    pando profile show meter --version 2`
}

// Run prints the document.
func (p *profileShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := cl.Profile(ctx, p.Name, p.Version)
	if err != nil {
		return err
	}
	return c.result(got, func(w io.Writer) error {
		_, err := io.WriteString(w, got.Source)
		return err
	})
}

// profiles prints profiles for people.
func profiles(items ...client.Profile) *table {
	t := &table{heading: []string{"PROFILE", "VERSION", "PUBLISHED", "HASH"}}
	for _, x := range items {
		t.add(x.Name, x.Version, when(x.Created), x.Hash)
	}
	return t
}
