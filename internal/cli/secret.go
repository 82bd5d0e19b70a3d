package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// secretCommand is "pando secret".
type secretCommand struct {
	Create secretCreate `cmd:"" help:"Create an enrolment secret and print its text, this once."`
	List   secretList   `cmd:"" help:"List secrets, without their texts, newest first."`
	Show   secretShow   `cmd:"" help:"Show one secret, and what it was used for."`
	Revoke secretRevoke `cmd:"" help:"End a secret, at once everywhere."`
}

func (secretCommand) Help() string {
	return `Whoever has the text of an enrolment secret may enrol at its endpoint: by EST as the password of HTTP Basic, with the secret's id or the device's as the user name, or by SCEP as the challengePassword. One that is bound to a device enrols that device alone.`
}

// secretCreate is "pando secret create".
type secretCreate struct {
	Endpoint   string        `required:"" placeholder:"NAME" help:"Endpoint at which it enrols."`
	Name       string        `placeholder:"TEXT" help:"Whose it is, or what for."`
	Device     string        `placeholder:"ID" help:"The only device that it enrols (default: any)."`
	Subject    string        `placeholder:"NAME" help:"The only subject that a request may have, as CN=SM-1,O=Example."`
	OneTime    bool          `help:"It is good for one certificate; the same request gets it again."`
	Expires    time.Duration `placeholder:"DURATION" help:"How long it holds, as 30d or 12h; at most two years (default: 7d)."`
	ChosenFile string        `placeholder:"FILE" help:"File of mode 0600 with a text to use, of 16 to 128 characters, for clients that cannot be given a random one."`
}

func (secretCreate) Help() string {
	return `The text goes to standard output alone and cannot be had again; what else is to know goes to standard error. It is random, unless --chosen-file says otherwise: a text that people choose can be guessed, and an endpoint has four of them at most.

Examples:

    pando secret create --endpoint device --device SM-900001 --one-time --expires 1d > SM-900001.secret
    pando secret create --endpoint device --name "plant Brno" --expires 90d
    pando secret create --endpoint scada --chosen-file challenge.txt`
}

// Run creates the secret.
func (s *secretCreate) Run(ctx context.Context, c *console, cl *client.Client) error {
	if s.Expires%time.Second != 0 {
		return usagef("--expires %s: it is counted in whole seconds", pki.FormatDuration(s.Expires))
	}
	n := client.NewSecret{Endpoint: s.Endpoint, Name: s.Name, Device: s.Device, Subject: s.Subject, Once: s.OneTime, LifeSeconds: int64(s.Expires / time.Second)}
	if s.ChosenFile != "" {
		text, err := readSecretFile(s.ChosenFile)
		if err != nil {
			return err
		}
		n.Chosen = client.TokenOf(text.Reveal())
	}
	made, err := cl.CreateSecret(ctx, n)
	if err != nil {
		return err
	}
	c.note("secret %s for the endpoint %s, device %s, expires %s; its text is shown this once", made.ID, made.Endpoint, cmp.Or(made.Device, "any"), when(made.Expires))
	if e, err := cl.Endpoint(ctx, made.Endpoint); err == nil && !slices.ContainsFunc(e.Protocols, takesSecrets) {
		c.note("warning: %s has neither EST nor SCEP on, by which devices send secrets: 'pando endpoint update %s --protocol' says what is on", e.Label, e.Name)
	}
	return c.result(made, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, made.Secret.Reveal())
		return err
	})
}

// takesSecrets reports whether requests can bring a secret by a protocol.
func takesSecrets(protocol string) bool {
	p := pki.Protocol(protocol)
	return p == pki.ProtocolEST || p == pki.ProtocolSCEP
}

// secretList is "pando secret list".
type secretList struct {
	Endpoint string `placeholder:"NAME" help:"Only those of this endpoint."`
	Device   string `placeholder:"ID" help:"Only those of this device."`
	Limit    int    `default:"100" most:"1000" help:"At most so many, up to 1000 (default: ${default})."`
	Before   string `placeholder:"ID" help:"Go on where an earlier list ended."`
}

// Run lists the secrets.
func (s *secretList) Run(ctx context.Context, c *console, cl *client.Client) error {
	page, err := cl.Secrets(ctx, s.Endpoint, s.Device, s.Before, s.Limit)
	if err != nil {
		return err
	}
	t := table{heading: []string{"ID", "ENDPOINT", "DEVICE", "NAME", "GOOD FOR", "EXPIRES", "REVOKED"}}
	for _, x := range page.Items {
		t.add(x.ID, x.Endpoint, cmp.Or(x.Device, "any"), x.Name, goodFor(x.Once), when(x.Expires), when(x.Revoked))
	}
	return c.list(page, &t, "--before", page.Next)
}

func goodFor(once bool) string {
	if once {
		return "one certificate"
	}
	return "any number"
}

// secretShow is "pando secret show".
type secretShow struct {
	ID string `arg:"" help:"The secret's id, as 'pando secret list' shows it."`
}

// Run shows the secret.
func (s *secretShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	x, err := cl.Secret(ctx, s.ID)
	if err != nil {
		return err
	}
	t := table{}
	t.add("secret", x.ID)
	t.add("endpoint", x.Endpoint)
	t.add("device", cmp.Or(x.Device, "any"))
	t.add("subject", cmp.Or(x.Subject, "any"))
	t.add("name", x.Name)
	t.add("good for", goodFor(x.Once))
	if x.Used != nil {
		t.add("used for", "certificate "+x.Used.Serial+" of issuer "+x.Used.Issuer)
	}
	t.add("made by", x.Maker)
	t.add("created", when(x.Created))
	t.add("expires", when(x.Expires))
	t.add("revoked", when(x.Revoked))
	return c.result(x, t.write)
}

// secretRevoke is "pando secret revoke".
type secretRevoke struct {
	ID string `arg:"" help:"The secret's id, as 'pando secret list' shows it."`
}

// Run revokes the secret.
func (s *secretRevoke) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := cl.RevokeSecret(ctx, s.ID); err != nil {
		return err
	}
	c.note("secret %s is revoked; certificates that it got stay as they are", s.ID)
	return c.result(ended{s.ID, "revoked"}, func(io.Writer) error { return nil })
}
