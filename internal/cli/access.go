package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/pando-pki/pando/client"
)

// accessCommand is "pando access".
type accessCommand struct {
	Explain accessExplain `cmd:"" help:"Say whether somebody may do something somewhere, and why."`
}

// accessExplain is "pando access explain".
type accessExplain struct {
	Principal  string `arg:"" help:"Whom it is about: token:ID, or trust:NAME for all whom a trusted authority certifies."`
	Permission string `arg:"" help:"The permission, as certificates.revoke."`
	Scope      string `arg:"" optional:"" default:"tenant" help:"Where, as product-line:pro (default: the whole tenant)."`
}

func (accessExplain) Help() string {
	return `It says yes or no and lists the principal's grants: those that make it so, then those that come nearest, with what they lack.

Examples:

    pando access explain token:0d3k2 certificates.revoke product-line:pro
    pando access explain trust:plant-brno enroll endpoint:meter`
}

// Run explains.
func (a *accessExplain) Run(ctx context.Context, c *console, cl *client.Client) error {
	e, err := cl.ExplainAccess(ctx, a.Principal, a.Permission, a.Scope)
	if err != nil {
		return err
	}
	return c.result(e, func(w io.Writer) error {
		said := "no"
		if e.Allowed {
			said = "yes"
		}
		why := ""
		switch {
		case e.Ended:
			why = ": there is no such principal, or no more"
		case len(e.Grants) == 0:
			why = ": it has no grants"
		}
		if _, err := fmt.Fprintf(w, "%s%s\n", said, why); err != nil || len(e.Grants) == 0 {
			return err
		}
		t := table{heading: []string{"GRANT", "ROLE", "SCOPE", "LACKS"}}
		for _, g := range e.Grants {
			t.add(g.ID, g.Role, g.Scope, lacks(a, g))
		}
		return t.write(w)
	})
}

// lacks says what keeps a grant from being enough.
func lacks(a *accessExplain, g client.Reason) string {
	switch {
	case !g.Includes && !g.Covers:
		return a.Permission + ", and the scope does not cover " + a.Scope
	case !g.Includes:
		return a.Permission
	case !g.Covers:
		return "the scope does not cover " + a.Scope
	}
	return ""
}
