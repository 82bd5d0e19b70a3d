package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// tokenCommand is "pando token".
type tokenCommand struct {
	Create tokenCreate `cmd:"" help:"Create an API token and print its text, this once."`
	List   tokenList   `cmd:"" help:"List tokens, without their texts."`
	Revoke tokenRevoke `cmd:"" help:"End a token at once."`
	Whoami tokenWhoami `cmd:"" help:"Show who the token in use is, and when it expires."`
}

func (tokenCommand) Help() string {
	return `Tokens belong to a tenant. A tenant administrator manages those of their own; a platform operator manages those of any with --tenant.`
}

// tokenCreate is "pando token create".
type tokenCreate struct {
	Name   string        `required:"" placeholder:"TEXT" help:"Whose it is, or what for."`
	Role   string        `required:"" placeholder:"ROLE" help:"What it may do: a role that is built in, as factory-operator, or one of the tenant's own; 'pando role list' lists them."`
	Scope  []string      `placeholder:"SCOPE" help:"Where it has the role, as product-line:pro or authority:manufacturing+site:berlin; may be repeated (default: the whole tenant)."`
	Life   time.Duration `placeholder:"DURATION" help:"How long it holds, as 30d or 12h; at most two years (default: 90d)."`
	Tenant string        `placeholder:"TENANT" help:"Create it in this tenant; for platform operators."`
}

func (tokenCreate) Help() string {
	return `The token's text goes to standard output alone and cannot be had again; what else is to know goes to standard error.

Examples:

    pando token create --name "line 3, plant Brno" --role factory-operator --scope endpoint:meter > line3.token
    pando token create --tenant demo --name "first administrator" --role tenant-administrator`
}

// Run creates the token.
func (t *tokenCreate) Run(ctx context.Context, c *console, cl *client.Client) error {
	if t.Life%time.Second != 0 {
		return usagef("--life %s: it is counted in whole seconds", pki.FormatDuration(t.Life))
	}
	n := client.NewToken{Name: t.Name, Role: t.Role, Scopes: t.Scope, LifeSeconds: int64(t.Life / time.Second)}
	create := cl.CreateToken
	if t.Tenant != "" {
		create = func(ctx context.Context, n client.NewToken) (*client.CreatedToken, error) {
			return cl.CreateTenantToken(ctx, t.Tenant, n)
		}
	}
	token, err := create(ctx, n)
	if err != nil {
		return err
	}
	return c.showToken(token)
}

// showToken prints a new token's text, this once.
func (c *console) showToken(token *client.CreatedToken) error {
	c.note("token %s, %s, expires %s; its text is shown this once", token.ID, grantsText(token.Grants), when(token.Expires))
	return c.result(token, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, token.Secret.Reveal())
		return err
	})
}

// tokenList is "pando token list".
type tokenList struct {
	Tenant string `placeholder:"TENANT" help:"List this tenant's; for platform operators."`
}

// Run lists the tokens.
func (t *tokenList) Run(ctx context.Context, c *console, cl *client.Client) error {
	list := cl.Tokens
	if t.Tenant != "" {
		list = func(ctx context.Context) ([]client.APIToken, error) { return cl.TenantTokens(ctx, t.Tenant) }
	}
	items, err := list(ctx)
	if err != nil {
		return err
	}
	rows := table{heading: []string{"ID", "NAME", "GRANTS", "EXPIRES", "REVOKED"}}
	for _, x := range items {
		rows.add(x.ID, x.Name, grantsText(x.Grants), when(x.Expires), when(x.Revoked))
	}
	return c.list(client.List[client.APIToken]{Items: items}, &rows, "", "")
}

// tokenRevoke is "pando token revoke".
type tokenRevoke struct {
	ID     string `arg:"" help:"The token's id, as 'pando token list' shows it."`
	Tenant string `placeholder:"TENANT" help:"It is this tenant's; for platform operators."`
}

// Run revokes the token.
func (t *tokenRevoke) Run(ctx context.Context, c *console, cl *client.Client) error {
	revoke := cl.RevokeToken
	if t.Tenant != "" {
		revoke = func(ctx context.Context, id string) error { return cl.RevokeTenantToken(ctx, t.Tenant, id) }
	}
	if err := revoke(ctx, t.ID); err != nil {
		return err
	}
	c.note("token %s is revoked", t.ID)
	return c.result(ended{t.ID, "revoked"}, func(io.Writer) error { return nil })
}

// ended is the result of "pando token revoke", as JSON.
type ended struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

// tokenWhoami is "pando token whoami".
type tokenWhoami struct{}

func (tokenWhoami) Help() string {
	return `Examples:

    pando --token-file line3.token token whoami`
}

// Run shows the token's principal.
func (tokenWhoami) Run(ctx context.Context, c *console, cl *client.Client) error {
	who, err := cl.WhoAmI(ctx)
	if err != nil {
		return err
	}
	t := table{}
	t.add("id", who.ID)
	t.add("name", who.Name)
	t.add("tenant", who.Tenant)
	t.add("grants", grantsText(who.Grants))
	t.add("expires", when(who.Expires))
	return c.result(who, t.write)
}

// grantsText returns grants for people, as "auditor, factory-operator on site:berlin".
func grantsText(all []client.Grant) string {
	var texts []string
	for _, g := range all {
		if g.Scope == "tenant" {
			texts = append(texts, g.Role)
		} else {
			texts = append(texts, g.Role+" on "+g.Scope)
		}
	}
	return strings.Join(texts, ", ")
}
