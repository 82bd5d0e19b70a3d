package cli

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"strings"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/ceremony"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// authorityCommand is "pando authority".
type authorityCommand struct {
	Create     authorityCreate     `cmd:"" help:"Create an intermediate or issuing authority."`
	ImportRoot authorityImportRoot `cmd:"" help:"Make a root known whose certificate a ceremony made."`
	List       authorityList       `cmd:"" help:"List the authorities."`
	Show       authorityShow       `cmd:"" help:"Show one authority with its issuers."`
	Index      authorityIndex      `cmd:"" help:"Have an authority get indexes for searches."`
	Retire     authorityRetire     `cmd:"" help:"End an authority's issuance for good; its status goes on."`
	Rollover   authorityRollover   `cmd:"" help:"Make an authority's next issuer: a new key and certificate."`
	Switch     authoritySwitch     `cmd:"" help:"Have an authority sign by its next issuer."`
	Drop       authorityDrop       `cmd:"" help:"Drop a next issuer that an authority was not switched to, or a pending authority."`
	Request    authorityRequest    `cmd:"" help:"Write the file that asks a ceremony for an authority's certificate."`
	CrlRequest authorityCRLRequest `cmd:"" help:"Write the file that asks a ceremony for a root's next CRL."`
	Install    authorityInstall    `cmd:"" help:"Hand in what a ceremony signed."`
	Chain      authorityChain      `cmd:"" help:"Print an authority's certificate and those above it."`
	Template   authorityTemplate   `cmd:"" help:"Print the commands that build the hierarchy of a pack."`
}

func (authorityCommand) Help() string {
	return `Examples of the whole way, with the offline machine in between:

    pando authority import-root root --mode production --status-url http://pki.example.com --certificate root.pem
    pando authority create manufacturing --parent root --common-name "Example Manufacturing CA" --status-url http://pki.example.com
    pando authority request manufacturing --out manufacturing.request.json
    pando ceremony sign --root root.sealed --request manufacturing.request.json --out manufacturing.answer.json
    pando authority install manufacturing.answer.json`
}

// authorityCreate is "pando authority create".
type authorityCreate struct {
	Name          string   `arg:"" help:"Its name, of a-z, 0-9 and inner hyphens."`
	CommonName    string   `required:"" placeholder:"NAME" help:"Common name of its certificate."`
	Parent        string   `required:"" placeholder:"NAME" help:"Name or id of the authority above it."`
	Kind          string   `enum:"issuing,intermediate" default:"issuing" help:"issuing, or intermediate: one that signs authorities."`
	Profile       string   `placeholder:"NAME" help:"Profile of its certificate (default: issuing-ca)."`
	KeyKind       string   `placeholder:"KIND" help:"p256, p384, p521, rsa2048, rsa3072, rsa4096 (each also with -pss), ed25519, mldsa44, mldsa65, mldsa87 or slhdsa-sha2-128s (default: the first that the profile allows)."`
	StatusURL     string   `name:"status-url" placeholder:"URL" help:"Base of the OCSP, CRL and CA certificate URLs in what it signs, as http://pki.example.com."`
	Shards        int      `placeholder:"N" help:"Number of CRL shards, fixed for life (default: 1)."`
	SignCheck     string   `enum:"hardware,always" default:"hardware" help:"Verify end-entity signatures before release: those of hardware keys alone, or always."`
	RandomSerials bool     `help:"Make serial numbers wholly random, so that they do not tell when they were made."`
	Deltas        bool     `help:"Make delta CRLs to its one full CRL; fixed for life, and for one shard alone."`
	Index         []string `enum:"expiry,fingerprint,subject" placeholder:"NAME" help:"Keep an index for searches by expiry, fingerprint or subject, for life; each costs at every issuance. 'pando authority index' adds one later. May be repeated."`
}

func (authorityCreate) Help() string {
	return `Its key is made on the server. Under a root, its certificate comes from a ceremony: see 'pando authority request'. Under an authority whose key is online it is there at once; where a crash cut that off, the authority is pending, and the same command goes on with it. What was begun and is not wanted goes with 'pando authority drop'.

Examples:

    pando authority create manufacturing --parent root --common-name "Example Manufacturing CA" --status-url http://pki.example.com --shards 128`
}

// Run creates the authority.
func (a *authorityCreate) Run(ctx context.Context, c *console, cl *client.Client) error {
	made, err := cl.CreateAuthority(ctx, client.NewAuthority{
		Name: a.Name, CommonName: a.CommonName, Kind: a.Kind, Parent: a.Parent, Profile: a.Profile,
		KeyKind: a.KeyKind, StatusURL: a.StatusURL, Shards: a.Shards, SignCheck: a.SignCheck, RandomSerials: a.RandomSerials, Deltas: a.Deltas, Indexes: a.Index,
	})
	if err != nil {
		return err
	}
	if made.State == "pending" {
		c.note("%s waits for its certificate: pando authority request %s", made.Name, made.Name)
	}
	return c.result(made, authority(made))
}

// authorityImportRoot is "pando authority import-root".
type authorityImportRoot struct {
	Name        string `arg:"" help:"Its name, of a-z, 0-9 and inner hyphens."`
	Mode        string `required:"" enum:"production,test" placeholder:"MODE" help:"production or test, as the ceremony was."`
	StatusURL   string `required:"" name:"status-url" placeholder:"URL" help:"Where its CRL and certificate are served, as http://pki.example.com."`
	Certificate string `required:"" placeholder:"FILE" help:"Its certificate, PEM or DER; - is standard input."`
}

func (authorityImportRoot) Help() string {
	return `Examples:

    pando authority import-root root --mode production --status-url http://pki.example.com --certificate root.pem`
}

// maxCertificate is the size of the largest CA certificate file, in bytes.
const maxCertificate = 64 << 10

// Run imports the root.
func (a *authorityImportRoot) Run(ctx context.Context, c *console, cl *client.Client) error {
	der, err := c.readPEM(a.Certificate, "CERTIFICATE", maxCertificate)
	if err != nil {
		return err
	}
	made, err := cl.ImportRoot(ctx, client.NewRoot{Name: a.Name, Mode: a.Mode, StatusURL: a.StatusURL,
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))})
	if err != nil {
		return err
	}
	return c.result(made, authority(made))
}

// authorityList is "pando authority list".
type authorityList struct{}

func (authorityList) Help() string {
	return `ISSUER is the id of the issuer that signs for the authority now, as other commands want it; ID is the authority's own.`
}

// Run lists the authorities.
func (authorityList) Run(ctx context.Context, c *console, cl *client.Client) error {
	items, err := cl.Authorities(ctx)
	if err != nil {
		return err
	}
	t := table{heading: []string{"NAME", "KIND", "MODE", "STATE", "COMMON NAME", "NOT AFTER", "ISSUER", "ID"}}
	for _, x := range items {
		notAfter, issuer := "", ""
		for _, i := range x.Issuers {
			if i.Active {
				notAfter, issuer = when(i.NotAfter), i.ID
			}
		}
		t.add(x.Name, x.Kind, x.Mode, x.State, x.CommonName, notAfter, issuer, x.ID)
	}
	return c.list(client.List[client.Authority]{Items: items}, &t, "", "")
}

// authorityName names one authority.
type authorityName struct {
	Authority string `arg:"" help:"Name or id of the authority."`
}

// authorityShow is "pando authority show".
type authorityShow struct{ authorityName }

// Run shows the authority.
func (a *authorityShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := cl.Authority(ctx, a.Authority)
	if err != nil {
		return err
	}
	return c.result(got, authority(got))
}

// authorityRetire is "pando authority retire".
type authorityRetire struct {
	authorityName
	Yes bool `help:"Do not ask."`
}

func (authorityRetire) Help() string {
	return `It cannot be undone: the authority signs no certificate any more, and endpoints that issue from it refuse. Its CRLs and OCSP answers go on until its certificate ends. What is below it in the hierarchy is not touched; retiring a root leaves no way to make another authority under it.

Examples:

    pando authority retire manufacturing`
}

// Run retires the authority.
func (a *authorityRetire) Run(ctx context.Context, c *console, cl *client.Client) error {
	if !a.Yes {
		what, err := cl.Authority(ctx, a.Authority)
		if err != nil {
			return err
		}
		if err := confirm(fmt.Sprintf("%s, a %s authority in mode %s, signs no certificate any more, for good; its endpoints refuse.", what.Name, what.Kind, what.Mode)); err != nil {
			return err
		}
	}
	if err := cl.RetireAuthority(ctx, a.Authority); err != nil {
		return err
	}
	c.note("%s is retired: it signs no certificate any more", a.Authority)
	got, err := cl.Authority(ctx, a.Authority)
	if err != nil {
		return err
	}
	return c.result(got, authority(got))
}

// authorityRequest is "pando authority request".
type authorityRequest struct {
	authorityName
	Out string `placeholder:"FILE" help:"Write to this new file (default: standard output)."`
}

func (authorityRequest) Help() string {
	return `Examples:

    pando authority request manufacturing --out manufacturing.request.json`
}

// Run writes the request.
func (a *authorityRequest) Run(ctx context.Context, c *console, cl *client.Client) error {
	request, err := cl.AuthorityRequest(ctx, a.Authority)
	if err != nil {
		return err
	}
	return c.writeOutput(a.Out, request)
}

// authorityCRLRequest is "pando authority crl-request".
type authorityCRLRequest struct {
	authorityName
	Issuer string `placeholder:"ID" help:"Issuer of the root whose CRL it is, where one has followed another (default: the active one)."`
	Days   int    `default:"365" help:"Days until the CRL after it (default: ${default})."`
	Out    string `placeholder:"FILE" help:"Write to this new file (default: standard output)."`
}

func (authorityCRLRequest) Help() string {
	return `A root that follows another has a CRL of its own, and the one before goes on with its own: 'pando authority show' has the ids.

Examples:

    pando authority crl-request root --days 180 --out root-crl.request.json`
}

// Run writes the request.
func (a *authorityCRLRequest) Run(ctx context.Context, c *console, cl *client.Client) error {
	request, err := cl.CRLRequest(ctx, a.Authority, a.Issuer, a.Days)
	if err != nil {
		return err
	}
	return c.writeOutput(a.Out, request)
}

// authorityInstall is "pando authority install".
type authorityInstall struct {
	File string `arg:"" help:"Answer, as 'pando ceremony sign' or 'rollover' writes it; - is standard input."`
}

func (authorityInstall) Help() string {
	return `Examples:

    pando authority install manufacturing.answer.json`
}

// maxAnswer is the size of the largest ceremony answer, in bytes.
const maxAnswer = 64 << 20

// Run installs what the ceremony signed.
func (a *authorityInstall) Run(ctx context.Context, c *console, cl *client.Client) error {
	answer, err := c.readInput(a.File, maxAnswer)
	if err != nil {
		return err
	}
	got, err := cl.Install(ctx, answer)
	if kindOf(err) == pki.Malformed.String() {
		return hintf(fmt.Errorf("%s: %w", a.File, err), "name the answer that 'pando ceremony sign' wrote; a root's certificate is for 'pando authority import-root'")
	}
	if err != nil {
		return err
	}
	tellCRL(c, answer)
	return c.result(got, authority(got))
}

// tellCRL says which CRL an answer installed, where it had one: its end is when the next
// has to be made.
func tellCRL(c *console, answer []byte) {
	response, err := ceremony.ReadResponse(bytes.NewReader(answer))
	if err != nil || len(response.CRL) == 0 {
		return
	}
	if crl, err := tbs.ParseCRL(response.CRL); err == nil {
		c.note("CRL number %d is installed; the next one must be by %s", crl.Number, when(crl.NextUpdate))
	}
}

// authorityChain is "pando authority chain".
type authorityChain struct {
	authorityName
	Out string `placeholder:"FILE" help:"Write to this new file (default: standard output)."`
}

func (authorityChain) Help() string {
	return `Prints PEM: the certificate of the authority's active issuer, then up to and with the root.

Examples:

    pando authority chain manufacturing > chain.pem`
}

// Run prints the chain.
func (a *authorityChain) Run(ctx context.Context, c *console, cl *client.Client) error {
	chain, err := cl.Chain(ctx, a.Authority)
	if err != nil {
		return err
	}
	return c.writeOutput(a.Out, chain)
}

// authority prints one authority for people.
func authority(a *client.Authority) func(io.Writer) error {
	t := table{}
	t.add("name", a.Name)
	t.add("id", a.ID)
	t.add("common name", a.CommonName)
	t.add("kind", a.Kind)
	t.add("mode", a.Mode)
	t.add("state", a.State)
	t.add("parent", a.Parent)
	t.add("profile", a.Profile)
	t.add("key", a.KeyKind)
	t.add("status URL", a.StatusURL)
	t.add("CRL shards", a.Shards)
	if a.Deltas {
		t.add("delta CRLs", "yes")
	}
	if len(a.Indexes) > 0 {
		t.add("search indexes", strings.Join(a.Indexes, ", "))
	}
	if a.Indexing != nil {
		t.add("being indexed", indexing(a.Indexing))
	}
	for _, i := range a.Issuers {
		more := ""
		if i.Serial != "" {
			more = ", serial " + i.Serial
		}
		if !i.NotAfter.IsZero() {
			more += ", valid from " + when(i.NotBefore) + " to " + when(i.NotAfter)
		}
		if i.Follows != "" {
			more += ", follows " + i.Follows
		}
		t.add(i.State+" issuer", i.ID+more)
	}
	return t.write
}
