package cli

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// certCommand is "pando cert".
type certCommand struct {
	Enroll  certEnroll  `cmd:"" help:"Ask for one certificate."`
	List    certList    `cmd:"" help:"Find certificates."`
	Trace   certTrace   `cmd:"" help:"Tell all that is known of a certificate."`
	Export  certExport  `cmd:"" help:"Write all certificates that a search finds."`
	Show    certShow    `cmd:"" help:"Show a certificate with its status."`
	Chain   certChain   `cmd:"" help:"Print a certificate and those above it."`
	Revoke  certRevoke  `cmd:"" help:"Revoke a certificate, for good."`
	Hold    certHold    `cmd:"" help:"Revoke a certificate until it is released, or revoked for good."`
	Release certRelease `cmd:"" help:"End a certificate's hold: it is good again."`
	Block   certBlock   `cmd:"" help:"Refuse keys from now on, in every tenant."`
}

func (certCommand) Help() string {
	return `A certificate is named by its issuer's id and its serial number in hexadecimal, or by the serial number alone where no other has it. 'pando authority show NAME' shows the ids of an authority's issuers.`
}

// certEnroll is "pando cert enroll".
type certEnroll struct {
	Endpoint       string            `required:"" placeholder:"LABEL" help:"Label or name of the endpoint."`
	CSR            string            `required:"" name:"csr" placeholder:"FILE" help:"Certificate signing request (PKCS #10), PEM or DER; - is standard input."`
	Device         string            `placeholder:"ID" help:"Device id (default: the serialNumber of the request's subject, else its CN)."`
	ProductLine    string            `placeholder:"NAME" help:"The device's product line."`
	Lot            string            `placeholder:"NAME" help:"The device's lot."`
	Site           string            `placeholder:"NAME" help:"The device's site."`
	Attribute      map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"What the endpoint's profile asks for besides; may be repeated."`
	PairEndpoint   string            `and:"pair" placeholder:"LABEL" help:"Endpoint of the second certificate of a pair, which is issued with the first or not at all."`
	PairCSR        string            `and:"pair" name:"pair-csr" placeholder:"FILE" help:"Its certificate signing request, for another key."`
	IdempotencyKey string            `placeholder:"TEXT" help:"The same request under the same key gets the same certificate (default: a new key)."`
	Out            string            `placeholder:"FILE" help:"Write certificate and chain to this new file (default: standard output)."`
}

func (certEnroll) Help() string {
	return `Prints the certificate, or both of a pair, and the chain up to, without, the root, as PEM. Pando never sees the private key.

Examples:

    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout head-end.key -subj "/CN=head-end" -out head-end.csr
    pando cert enroll --endpoint tls-client --csr head-end.csr --out head-end.pem
    pando cert enroll --endpoint firmware --csr signer.csr --idempotency-key "order 7"   # again, until it is approved
    pando cert enroll --endpoint gb-signing --csr sign.csr --pair-endpoint gb-key-agreement --pair-csr agree.csr --device 00124B0001020304 --out device.pem`
}

// maxCSR is the size of the largest file with a certificate signing request, in
// bytes: 64 KiB of DER in base64.
const maxCSR = 96 << 10

// Run enrols.
func (e *certEnroll) Run(ctx context.Context, c *console, cl *client.Client) error {
	der, err := c.readPEM(e.CSR, "CERTIFICATE REQUEST", maxCSR)
	if err != nil {
		return err
	}
	if e.Out != "" { // learn of it before the certificate is issued
		if err := refuseExisting(e.Out); err != nil {
			return err
		}
	}
	key := e.IdempotencyKey
	if key == "" {
		key = rand.Text() // so that the client may ask again when an answer is lost
	}
	request := client.Enrollment{
		Endpoint: e.Endpoint, CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})),
		Device: e.Device, ProductLine: e.ProductLine, Lot: e.Lot, Site: e.Site, Attributes: e.Attribute,
	}
	if e.PairCSR != "" {
		if der, err = c.readPEM(e.PairCSR, "CERTIFICATE REQUEST", maxCSR); err != nil {
			return err
		}
		request.Pair = &client.EnrollmentPair{Endpoint: e.PairEndpoint, CSR: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))}
	}
	got, err := cl.Enroll(ctx, request, key)
	if _, waits := errors.AsType[*client.Waiting](err); waits && e.IdempotencyKey == "" {
		c.note("the same command with --idempotency-key %s asks again for this certificate", key)
	}
	if err != nil {
		return err
	}
	c.note("certificate %s %s, valid to %s", got.Issuer, got.Serial, when(got.NotAfter))
	certificates := got.Certificate
	if got.Pair != nil {
		c.note("certificate %s %s, valid to %s", got.Issuer, got.Pair.Serial, when(got.Pair.NotAfter))
		certificates += got.Pair.Certificate
	}
	text := []byte(certificates + strings.Join(got.Chain, ""))
	if e.Out != "" {
		if err := c.writeOutput(e.Out, text); err != nil {
			return err
		}
	}
	return c.result(got, func(w io.Writer) error {
		if e.Out != "" {
			return nil
		}
		_, err := w.Write(text)
		return err
	})
}

// certName names one certificate.
type certName struct {
	Issuer string `arg:"" help:"Id of its issuer; may be left out where one certificate alone has the serial number."`
	Serial string `arg:"" optional:"" help:"Its serial number in hexadecimal."`
}

// resolve finds the issuer where the serial number stands alone.
func (n *certName) resolve(ctx context.Context, cl *client.Client) error {
	if n.Serial != "" {
		return nil
	}
	got, err := cl.TraceCertificate(ctx, "", n.Issuer)
	// Of one that is archived, or that is a root's, the server says what there is to say.
	p, ok := errors.AsType[*client.Problem](err)
	if ok && (p.Kind == pki.Conflict.String() || p.Detail == fmt.Sprintf("no certificate with serial %.50q", n.Issuer)) {
		return hintf(err, "a certificate is named by its serial number alone where that is unique, otherwise as ISSUER SERIAL; 'pando cert list' shows both")
	}
	if err != nil {
		return err
	}
	n.Issuer, n.Serial = got.Certificate.Issuer, got.Certificate.Serial
	return nil
}

// orArchived returns err, or that there is no such issuer, or where the certificate is
// if it is archived: then it has expired, and its status changes no more.
func (n *certName) orArchived(ctx context.Context, cl *client.Client, err error) error {
	if !isNotFound(err) {
		return err
	}
	if _, traced := cl.TraceCertificate(ctx, n.Issuer, n.Serial); isNotFound(traced) {
		return traced
	}
	return err
}

func isNotFound(err error) bool {
	p, ok := errors.AsType[*client.Problem](err)
	return ok && p.Kind == pki.NotFound.String()
}

// certShow is "pando cert show".
type certShow struct {
	certName
	Since []string `placeholder:"FILE" help:"Checkpoints of the log that you kept, from an anchor or from 'pando audit checkpoint': the log in which the certificate is shown must be consistent with them; may be repeated."`
}

func (certShow) Help() string {
	return `Shows also where the certificate is in the audit log, once the proof of that is verified ('pando audit prove' writes it to a file).

With --since it verifies besides, by proofs of consistency from the server, that this log begins with what it was when the checkpoints were signed: nothing before them was changed, and they are signed by the key that the server sends. Anything else is an error: a log that was rewritten, a checkpoint of more entries than the log shows, a checkpoint of another log or key. Of a file with many checkpoints the newest ` + strconv.Itoa(maxKept) + ` are compared; 'pando audit verify --since' compares all. The token needs the role auditor, or another that reads events, in the tenant of the log.

Examples:

    pando cert show 5m2k8c0q4r 4201902f...
    pando cert show 5m2k8c0q4r 4201902f... --since 2026-03-01.checkpoint`
}

// Run shows the certificate.
func (s *certShow) Run(ctx context.Context, c *console, cl *client.Client) error {
	notes, err := c.readCheckpoints(s.Since)
	if err != nil {
		return err
	}
	if err := s.resolve(ctx, cl); err != nil {
		return err
	}
	got, err := cl.Certificate(ctx, s.Issuer, s.Serial)
	if err != nil {
		return s.orArchived(ctx, cl, err)
	}
	shown := shownCertificate{Certificate: *got}
	if shown.Log, err = provedCertificate(ctx, cl, got); err != nil {
		return err
	}
	if len(notes) > 0 {
		if shown.Log == nil {
			return pki.Errorf(pki.NotReady, "no checkpoint of the log covers the certificate yet, so that there is nothing to compare with --since: ask again in a second")
		}
		if shown.Kept, err = compareKept(ctx, cl, shown.Log, notes); err != nil {
			return err
		}
	}
	return c.result(shown, shown.write)
}

// A shownCertificate is a certificate and where the log has it.
type shownCertificate struct {
	client.Certificate
	Log  *logged  `json:"log,omitempty"`        // nil in the second before it is there
	Kept *keptLog `json:"consistent,omitempty"` // nil where no checkpoint was given
}

// certChain is "pando cert chain".
type certChain struct {
	certName
	Out string `placeholder:"FILE" help:"Write to this new file (default: standard output)."`
}

func (certChain) Help() string {
	return `Prints PEM: the certificate, its issuer's, then up to and with the root.`
}

// Run prints the chain.
func (s *certChain) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := s.resolve(ctx, cl); err != nil {
		return err
	}
	chain, err := cl.CertificateChain(ctx, s.Issuer, s.Serial)
	if err != nil {
		return s.orArchived(ctx, cl, err)
	}
	return c.writeOutput(s.Out, chain)
}

// certRevoke is "pando cert revoke".
type certRevoke struct {
	certName
	Reason string `required:"" enum:"unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn, aACompromise" placeholder:"REASON" help:"Why, as RFC 5280, 5.3.1, names it: ${enum}."`
}

func (certRevoke) Help() string {
	return `Examples:

    pando cert revoke 4201902f... --reason keyCompromise
    pando cert revoke 5m2k8c0q4r 4201902f... --reason keyCompromise`
}

// Run revokes the certificate.
func (r *certRevoke) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := r.resolve(ctx, cl); err != nil {
		return err
	}
	status, err := cl.Revoke(ctx, r.Issuer, r.Serial, r.Reason)
	return showStatus(c)(status, r.orArchived(ctx, cl, err))
}

// certHold is "pando cert hold".
type certHold struct{ certName }

func (certHold) Help() string {
	return `For a device that is missing, or under suspicion. To relying parties the certificate is revoked, with the reason certificateHold; they need not know that it may come back.

Examples:

    pando cert hold 5m2k8c0q4r 4201902f...
    pando cert release 5m2k8c0q4r 4201902f...`
}

// Run holds the certificate.
func (h *certHold) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := h.resolve(ctx, cl); err != nil {
		return err
	}
	status, err := cl.Revoke(ctx, h.Issuer, h.Serial, "certificateHold")
	return showStatus(c)(status, h.orArchived(ctx, cl, err))
}

// certRelease is "pando cert release".
type certRelease struct{ certName }

func (certRelease) Help() string {
	return `What was revoked for any other reason than a hold stays revoked. A certificate of a suspended device is released when the device resumes: 'pando device resume'.

Examples:

    pando cert release 5m2k8c0q4r 4201902f...`
}

// Run releases the certificate.
func (r *certRelease) Run(ctx context.Context, c *console, cl *client.Client) error {
	if err := r.resolve(ctx, cl); err != nil {
		return err
	}
	status, err := cl.Release(ctx, r.Issuer, r.Serial)
	return showStatus(c)(status, r.orArchived(ctx, cl, err))
}

// showStatus returns a function that prints a certificate's status.
func showStatus(c *console) func(*client.Status, error) error {
	return func(s *client.Status, err error) error {
		if err != nil {
			return err
		}
		return c.result(s, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, statusLine(s))
			return err
		})
	}
}

// write prints the certificate for people.
func (x *shownCertificate) write(w io.Writer) error {
	t := table{}
	t.add("issuer", x.Issuer)
	t.add("serial", x.Serial)
	t.add("device", x.Device)
	t.add("owner", x.Owner)
	t.add("profile", fmt.Sprintf("%s v%d %s", x.Profile.Name, x.Profile.Version, x.Profile.Hash))
	if x.Batch != "" {
		t.add("batch", fmt.Sprintf("%s, row %d", x.Batch, x.Row))
	}
	t.add("issued", when(x.Issued))
	t.add("not before", when(x.NotBefore))
	t.add("not after", when(x.NotAfter))
	if x.Status != nil {
		t.add("status", statusLine(x.Status))
	}
	if l := x.Log; l != nil {
		t.add("log", fmt.Sprintf("index %d, verified in the tree of %d, signed %s", l.Index, l.Size, when(l.Signed)))
	} else {
		t.add("log", "not yet: ask again in a second")
	}
	if x.Kept != nil {
		t.add("kept", x.Kept)
	}
	if err := t.write(w); err != nil {
		return err
	}
	_, err := io.WriteString(w, x.Certificate.Certificate)
	return err
}

// statusLine says whether a certificate is revoked or held.
func statusLine(s *client.Status) string {
	if s.Reason == "" {
		return s.State
	}
	return fmt.Sprintf("%s, %s, %s", s.State, s.Reason, when(s.At))
}
