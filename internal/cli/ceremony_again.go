package cli

import (
	"context"
	"encoding/pem"
	"strings"

	"github.com/pando-pki/pando/internal/ceremony"
)

// ceremonyCertificate is "pando ceremony certificate".
type ceremonyCertificate struct {
	Root string `required:"" placeholder:"FILE" help:"Sealed file of the root; its journal is beside it."`
	Out  string `placeholder:"FILE" help:"Write to this new file (default: standard output)."`
}

func (ceremonyCertificate) Help() string {
	return `Needs no passphrase: the certificate is public, and stands in the journal.

Examples:

    pando ceremony certificate --root root.sealed --out root.pem`
}

// Run writes the certificate.
func (r *ceremonyCertificate) Run(c *console) error {
	der, err := ceremony.Certificate(r.Root)
	if err != nil {
		return err
	}
	return c.writeOutput(r.Out, encodeCertificate(der))
}

// ceremonyAnswer is "pando ceremony answer".
type ceremonyAnswer struct {
	Root    string `required:"" placeholder:"FILE" help:"Sealed file of the root; its journal is beside it."`
	Request string `required:"" placeholder:"FILE" help:"Request that was signed."`
	Out     string `required:"" placeholder:"FILE" help:"Write the answer to this new file, for 'pando authority install'."`
}

func (ceremonyAnswer) Help() string {
	return `Needs no passphrase and signs nothing: what was signed stands in the journal.

Examples:

    pando ceremony answer --root root.sealed --request manufacturing.request.json --out manufacturing.answer.json`
}

// Run writes the answer.
func (a *ceremonyAnswer) Run(c *console) error {
	request, err := readRequest(a.Request)
	if err != nil {
		return err
	}
	response, err := ceremony.Answer(a.Root, request)
	if err != nil {
		return err
	}
	out, err := c.reserve(a.Out)
	if err != nil {
		return err
	}
	defer out.drop()
	return writeAnswer(c, out, a.Out, response)
}

// actDone tells whoever interrupted an act that it is finished all the same: a
// signature cannot be taken back, and an act that is half written down is worse.
func (c *console) actDone(ctx context.Context, written ...string) {
	if ctx.Err() != nil {
		c.note("the interrupt came when the act had begun: it is finished, and written to %s", strings.Join(written, ", "))
	}
}

// encodeCertificate returns a certificate as PEM.
func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
