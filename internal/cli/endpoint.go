package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// endpointCommand is "pando endpoint".
type endpointCommand struct {
	Create endpointCreate `cmd:"" help:"Create an endpoint."`
	Update endpointUpdate `cmd:"" help:"Change an endpoint."`
	List   endpointList   `cmd:"" help:"List the endpoints."`
	Show   endpointShow   `cmd:"" help:"Show one endpoint."`
	Trace  endpointTrace  `cmd:"" help:"Show what comes to an endpoint, and which rule refuses it."`
}

func (endpointCommand) Help() string {
	return `An endpoint is a place under which devices enrol: it binds an authority, a profile and the ways in that are on. Its label, {tenant}.{name}, stands in URLs.`
}

// nameFlags are the names that an endpoint authorises.
type nameFlags struct {
	DNS []string `name:"dns" placeholder:"NAME" help:"DNS name that may go into certificates, or *.example.com for the names one label below; may be repeated."`
	IP  []string `name:"ip" placeholder:"PREFIX" help:"IP addresses that may, as 10.0.0.0/8; may be repeated."`
	URI []string `name:"uri" placeholder:"PREFIX" help:"Beginning of URIs that may, as urn:device:; may be repeated."`
}

// names returns what the flags say, or nil where they say nothing.
func (n *nameFlags) names() *client.Names {
	if len(n.DNS)+len(n.IP)+len(n.URI) == 0 {
		return nil
	}
	return &client.Names{DNS: n.DNS, IP: n.IP, URI: n.URI}
}

// waitFlag is how long what needs approval waits.
type waitFlag struct {
	ApprovalDays int `placeholder:"N" help:"How long an enrolment waits for approval, up to 90 days, with --approval (default: 7)."`
}

// approvals returns what steps say, or nil where they say nothing.
func (w *waitFlag) approvals(texts []string) (*client.Approvals, error) {
	if len(texts) == 0 {
		if w.ApprovalDays != 0 {
			return nil, usagef("--approval-days is said with --approval")
		}
		return nil, nil
	}
	steps, err := readSteps(texts)
	return &client.Approvals{Steps: steps, LifeSeconds: int64(w.ApprovalDays) * 24 * 3600}, err
}

// endpointCreate is "pando endpoint create".
type endpointCreate struct {
	Name      string   `arg:"" help:"Its name, of a-z, 0-9 and inner hyphens."`
	Authority string   `xor:"of" required:"" placeholder:"NAME" help:"Name or id of the authority that issues."`
	Loan      string   `xor:"of" required:"" placeholder:"NAME" help:"Of what the tenant's parent lends, which is an authority with a profile: see 'pando loans'."`
	Profile   string   `placeholder:"NAME" help:"Profile of what it issues, with --authority."`
	Version   int      `placeholder:"N" help:"Version of the profile (default: the latest)."`
	Protocol  []string `enum:"rest, batch, est, scep, scep-legacy" default:"rest,batch" help:"Ways in that are on, of ${enum} (default: ${default})."`
	Auth      []string `placeholder:"PROOF" help:"Proof that whoever asks must give: certificate, secret, token, or several together, as certificate+secret; may be repeated, and one of them is enough (default: any)."`
	Network   []string `placeholder:"PREFIX" help:"Network that it takes requests from, as 10.0.0.0/8; may be repeated (default: anywhere)."`
	Validator string   `placeholder:"NAME" help:"Service outside that checks the challenges of SCEP, by its name in the server's configuration (default: they are enrolment secrets)."`
	Approval  []string `placeholder:"ROLE[:N]" help:"N holders of the role must approve each enrolment (default: one), after those whom the profile names; may be repeated, for steps that follow each other."`
	Quota     *int64   `placeholder:"N" help:"How many certificates there may be by it, as 'pando quota set endpoint:NAME' says it (default: no limit of its own)."`
	nameFlags
	waitFlag
}

func (endpointCreate) Help() string {
	return `Examples:

    pando endpoint create meter --authority manufacturing --profile meter
    pando endpoint create tls --authority operations --profile tls-server --protocol rest --dns "*.example.com" --ip 10.0.0.0/8
    pando endpoint create field --authority operations --profile device --protocol est --auth certificate --auth secret --network 10.20.0.0/16
    pando endpoint create firmware --authority operations --profile signer --approval ra-operator --approval security-officer:2 --approval-days 2 --quota 500`
}

// Run creates the endpoint.
func (e *endpointCreate) Run(ctx context.Context, c *console, cl *client.Client) error {
	if (e.Profile == "") == (e.Loan == "") {
		return usagef("say the profile with --authority, and none with --loan, which has one")
	}
	approvals, err := e.approvals(e.Approval)
	if err != nil {
		return err
	}
	made, err := cl.CreateEndpoint(ctx, client.NewEndpoint{Name: e.Name, Authority: e.Authority, Loan: e.Loan,
		Profile: e.Profile, Version: e.Version, Protocols: e.Protocol, Names: e.names(), Auth: e.Auth, Networks: e.Network, Validator: e.Validator, Approvals: approvals, Quota: e.Quota})
	if err != nil {
		return err
	}
	return c.result(made, endpointWriter(ctx, cl, made))
}

// endpointUpdate is "pando endpoint update".
type endpointUpdate struct {
	Endpoint    string   `arg:"" help:"Name of the endpoint."`
	Profile     string   `placeholder:"NAME" help:"Profile of what it issues from now on."`
	Version     int      `placeholder:"N" help:"Version of the profile (default, with --profile: the latest)."`
	Protocol    []string `xor:"protocol" placeholder:"NAME" help:"Ways in that are on from now on: rest, batch, est, scep, scep-legacy."`
	Off         bool     `xor:"protocol" help:"Switch every way in off: nothing is enrolled here until --protocol."`
	NoNames     bool     `help:"Authorise no names any more."`
	Auth        []string `xor:"auth" placeholder:"PROOF" help:"Proofs of which whoever asks must give one from now on, as certificate or certificate+secret."`
	AnyAuth     bool     `xor:"auth" help:"Any one proof is enough from now on."`
	Network     []string `xor:"network" placeholder:"PREFIX" help:"Networks that it takes requests from, from now on."`
	Anywhere    bool     `xor:"network" help:"Take requests from anywhere."`
	Validator   string   `xor:"validator" placeholder:"NAME" help:"Service outside that checks the challenges of SCEP from now on."`
	NoValidator bool     `xor:"validator" help:"Challenges of SCEP are enrolment secrets from now on."`
	Approval    []string `xor:"approval" placeholder:"ROLE[:N]" help:"Who must approve each enrolment from now on, after those whom the profile names."`
	NoApproval  bool     `xor:"approval" help:"Nobody must, but for those whom the profile names."`
	Quota       *int64   `placeholder:"N" help:"How many certificates there may be by it, no more than before: 'pando quota set' raises a quota, and 'pando quota remove' ends it."`
	nameFlags
	waitFlag
}

func (endpointUpdate) Help() string {
	return `What is not said stays as it is. Names, proofs, networks and approvals that are said take the place of all that were there. What waits for approval when the approvals change cannot be done any more, and is asked for anew.

Examples:

    pando endpoint update meter --profile meter
    pando endpoint update tls --no-names
    pando endpoint update meter --auth certificate+secret --network 10.20.0.0/16
    pando endpoint update laptops --validator intune
    pando endpoint update firmware --no-approval
    pando endpoint update meter --off`
}

// Run changes the endpoint.
func (e *endpointUpdate) Run(ctx context.Context, c *console, cl *client.Client) error {
	change := client.EndpointChange{Profile: e.Profile, Version: e.Version, Protocols: e.Protocol, Names: e.names(), Auth: e.Auth, Networks: e.Network, Quota: e.Quota}
	if e.Off {
		change.Protocols = []string{}
	}
	if e.AnyAuth {
		change.Auth = []string{}
	}
	if e.Anywhere {
		change.Networks = []string{}
	}
	if e.Validator != "" || e.NoValidator {
		change.Validator = &e.Validator
	}
	var err error
	if change.Approvals, err = e.approvals(e.Approval); err != nil {
		return err
	}
	if e.NoApproval {
		change.Approvals = &client.Approvals{Steps: []client.ApprovalStep{}}
	}
	switch {
	case e.NoNames && change.Names != nil:
		return usagef("--no-names takes every name away: say it, or say names")
	case e.NoNames:
		change.Names = new(client.Names)
	}
	if reflect.ValueOf(change).IsZero() {
		return usagef("what is to change? Say --profile, --version, --protocol, --off, names, --no-names, --auth, --any-auth, --network, --anywhere, --validator, --no-validator, --approval, --no-approval or --quota")
	}
	before, err := cl.Endpoint(ctx, e.Endpoint)
	if err != nil {
		return err
	}
	made, err := cl.ChangeEndpoint(ctx, e.Endpoint, change)
	if err != nil {
		return err
	}
	if reflect.DeepEqual(before, made) {
		c.note("%s was so already; nothing has changed", made.Label)
	}
	return c.result(made, endpointWriter(ctx, cl, made))
}

// endpointList is "pando endpoint list".
type endpointList struct{}

// Run lists the endpoints.
func (endpointList) Run(ctx context.Context, c *console, cl *client.Client) error {
	items, err := cl.Endpoints(ctx)
	if err != nil {
		return err
	}
	t := new(table)
	if !c.json {
		t = endpoints(ctx, cl, items...)
	}
	return c.list(client.List[client.Endpoint]{Items: items}, t, "", "")
}

// endpointShow is "pando endpoint show".
type endpointShow struct {
	Endpoint string `arg:"" help:"Name of the endpoint."`
}

// Run shows the endpoint.
func (e *endpointShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := cl.Endpoint(ctx, e.Endpoint)
	if err != nil {
		return err
	}
	return c.result(got, endpointWriter(ctx, cl, got))
}

// endpointWriter prints an endpoint for people, and asks for what only they are shown.
func endpointWriter(ctx context.Context, cl *client.Client, e *client.Endpoint) func(io.Writer) error {
	return func(w io.Writer) error { return endpoints(ctx, cl, *e).write(w) }
}

// endpoints prints endpoints for people, who know authorities by name.
func endpoints(ctx context.Context, cl *client.Client, items ...client.Endpoint) *table {
	authorities := authorityNames(ctx, cl)
	t := &table{heading: []string{"LABEL", "PROFILE", "PROTOCOLS", "NAMES", "PROOF", "NETWORKS", "VALIDATOR", "APPROVALS", "QUOTA", "AUTHORITY"}}
	for _, x := range items {
		names := strings.Join(append(append(append([]string(nil), x.Names.DNS...), x.Names.IP...), x.Names.URI...), ",")
		approvals := "-"
		if x.Approvals != nil {
			approvals = inSteps(x.Approvals.Steps) + " within " + pki.FormatDuration(time.Duration(x.Approvals.LifeSeconds)*time.Second)
		}
		quota := "-"
		if x.Quota != nil {
			quota = strconv.FormatInt(*x.Quota, 10)
		}
		t.add(x.Label, fmt.Sprintf("%s v%d", x.Profile.Name, x.Profile.Version), strings.Join(x.Protocols, ","), names, cmp.Or(strings.Join(x.Auth, ","), "any"), cmp.Or(strings.Join(x.Networks, ","), "any"), cmp.Or(x.Validator, "-"), approvals, quota, cmp.Or(authorities[x.Authority], x.Authority))
	}
	return t
}

// authorityNames returns what the tenant's authorities, and those that it is lent, are
// called, by id: of those that the token may read.
func authorityNames(ctx context.Context, cl *client.Client) map[string]string {
	names := make(map[string]string)
	if lent, err := cl.Loans(ctx); err == nil {
		for _, l := range lent {
			names[l.AuthorityID] = l.Authority + " of " + l.Parent
		}
	}
	if own, err := cl.Authorities(ctx); err == nil {
		for _, a := range own {
			names[a.ID] = a.Name
		}
	}
	return names
}
