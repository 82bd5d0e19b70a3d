package cli

import (
	"context"
	"encoding/pem"
	"fmt"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/tbs"
)

// authorityRollover is "pando authority rollover".
type authorityRollover struct {
	authorityName
	CommonName string `placeholder:"NAME" help:"Common name of the next certificate (default: that of the active one, one generation later, as \"X G2\" after \"X\"; a root's is always the same)."`
	KeyKind    string `placeholder:"KIND" help:"Kind of the next key (default: the authority's)."`
}

func (authorityRollover) Help() string {
	return `The next issuer is published beside the active one, so that relying parties and devices can fetch its certificate, and has CRLs and OCSP. It signs no certificate for others before 'pando authority switch'. Below a root, its certificate comes from a ceremony, as that of a new authority.

Of a root, 'pando ceremony rollover' makes the next root with its key, by the profile of the root's name as it was when this was approved, and each of the two signs the other's key. Both have a CRL of their own: 'pando authority crl-request --issuer'.

Examples:

    pando authority rollover manufacturing
    pando authority request manufacturing --out manufacturing.request.json
    pando ceremony sign --root root.sealed --request manufacturing.request.json --out manufacturing.answer.json
    pando authority install manufacturing.answer.json
    pando authority switch manufacturing

    pando authority rollover root
    pando authority request root --out root.request.json
    pando ceremony rollover --root root.sealed --new root-2.sealed --request root.request.json --out root.answer.json
    pando authority install root.answer.json
    pando authority switch root`
}

// Run makes the next issuer.
func (a *authorityRollover) Run(ctx context.Context, c *console, cl *client.Client) error {
	got, err := cl.Rollover(ctx, a.Authority, client.Rollover{CommonName: a.CommonName, KeyKind: a.KeyKind})
	if err != nil {
		return err
	}
	for _, i := range got.Issuers {
		switch i.State {
		case "pending":
			c.note("the next issuer of %s waits for its certificate: pando authority request %s", got.Name, got.Name)
		case "next":
			c.note("the next issuer of %s is published; when relying parties have it: pando authority switch %s", got.Name, got.Name)
		}
	}
	return c.result(got, authority(got))
}

// authoritySwitch is "pando authority switch".
type authoritySwitch struct {
	authorityName
	Yes bool `help:"Do not ask."`
}

func (authoritySwitch) Help() string {
	return `From then on the authority signs by its next issuer. The one before goes on with CRLs and OCSP for what it has signed, and its chain is served. There is no way back but another rollover: see that relying parties have the next certificate, or get it with each chain.

Examples:

    pando authority switch manufacturing`
}

// Run switches the authority.
func (a *authoritySwitch) Run(ctx context.Context, c *console, cl *client.Client) error {
	if !a.Yes {
		if err := confirm(fmt.Sprintf("%s signs by its next issuer from now on; there is no way back.", a.Authority)); err != nil {
			return err
		}
	}
	got, err := cl.Switch(ctx, a.Authority)
	if err != nil {
		return err
	}
	c.note("%s signs as %q from now on", got.Name, got.CommonName)
	return c.result(got, authority(got))
}

// authorityDrop is "pando authority drop".
type authorityDrop struct{ authorityName }

func (authorityDrop) Help() string {
	return `A next issuer that is dropped stands in EST's and SCEP's answers no more, and is never switched to; where it has its certificate, its CRL and OCSP go on until that ends. So it is where 'pando authority rollover' was cut off after the authority above had issued it. Revoke that certificate as any other: the command says how.

An authority that is pending itself, and never had a certificate, is gone when it is dropped, and another can have its name.

Examples:

    pando authority drop manufacturing`
}

// Run drops the next issuer.
func (a *authorityDrop) Run(ctx context.Context, c *console, cl *client.Client) error {
	was, err := cl.Authority(ctx, a.Authority)
	if err != nil {
		return err
	}
	if err := cl.DropNext(ctx, was.ID); err != nil {
		return err
	}
	if was.State == "pending" {
		c.note("%s is gone: it never had a certificate", was.Name)
		return nil
	}
	got, err := cl.Authority(ctx, was.ID)
	if err != nil {
		return err
	}
	c.note("the next issuer of %s is dropped", got.Name)
	dropped := got.Issuers[0] // the newest
	if block, _ := pem.Decode([]byte(dropped.Certificate)); block != nil && got.Kind != "root" {
		p, err := tbs.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		c.note("its certificate is good until it is revoked: pando cert revoke %s --reason cessationOfOperation", p.Serial)
	}
	return c.result(got, authority(got))
}
