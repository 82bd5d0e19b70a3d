//go:build system

package acceptance

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/pando-pki/pando/client"
)

// pause is how long to wait before a server that went away is asked again.
const pause = 50 * time.Millisecond

// passing reports whether an error is of a server that is away or coming back:
// whoever gets it asks again.
func passing(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	p, answered := errors.AsType[*client.Problem](err)
	cut := answered && p.Type == "about:blank" // a problem that did not come whole
	return !answered || cut || p.Kind == "unavailable" || p.Kind == "not-ready"
}

// insist does something until it succeeds or fails for good.
func insist(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil || !passing(ctx, err) {
			return err
		}
		time.Sleep(pause)
	}
}

// A collector fetches the results of one batch and holds each against its
// request. It may be sent away at any row and goes on there.
type collector struct {
	client   *client.Client
	batch    string
	requests []byte // PEM of those without a result yet
	acks     *acknowledgements
	row      int64 // the last with a result
}

// collect takes the results that there are.
func (c *collector) collect(ctx context.Context) error {
	for r, err := range c.client.Results(ctx, c.batch, c.row) {
		if err != nil {
			return err
		}
		if err := c.take(r); err != nil {
			return &client.Problem{Kind: "internal", Detail: fmt.Sprintf("batch %s, row %d: %v", c.batch, r.Row, err)}
		}
	}
	return nil
}

// take checks that a row is the next one and that its certificate is for the key
// and the device of its request.
func (c *collector) take(r client.Result) error {
	if r.Row != c.row+1 {
		return fmt.Errorf("it comes after row %d", c.row)
	}
	c.row = r.Row
	if r.Status != client.RowIssued {
		return fmt.Errorf("it is %s: %s: %s", r.Status, r.Kind, r.Reason)
	}
	block, rest := pem.Decode(c.requests)
	if block == nil {
		return errors.New("there is no such request")
	}
	c.requests = rest
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return err
	}
	der, err := decode(r.Certificate, "CERTIFICATE")
	if err != nil {
		return err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	if sha256.Sum256(certificate.RawSubjectPublicKeyInfo) != sha256.Sum256(request.RawSubjectPublicKeyInfo) {
		return errors.New("its certificate is for another key")
	}
	if device := request.Subject.SerialNumber; r.Device != device || certificate.Subject.SerialNumber != device {
		return fmt.Errorf("its certificate is for %s, and it says %s; asked was for %s", certificate.Subject.SerialNumber, r.Device, device)
	}
	if serial := fmt.Sprintf("%x", certificate.SerialNumber.Bytes()); serial != r.Serial {
		return fmt.Errorf("it says serial %s of certificate %s", r.Serial, serial)
	}
	return c.acks.add(r.Issuer, r.Serial, der)
}

// follow collects until the batch is done and its last row is here, however
// often the server goes away.
func (c *collector) follow(ctx context.Context, rows int64) error {
	for {
		var b *client.Batch
		err := insist(ctx, func() (err error) {
			if b, err = c.client.Batch(ctx, c.batch); err != nil {
				return err
			}
			return c.collect(ctx)
		})
		if err != nil {
			return err
		}
		if b.State == client.Done {
			if b.Rows != rows || b.Issued != rows || b.Refused != 0 || c.row != rows {
				return fmt.Errorf("batch %s of %d rows is done with %d: %d issued, %d refused, %d fetched", b.ID, rows, b.Rows, b.Issued, b.Refused, c.row)
			}
			return nil
		}
		if b.State != client.Running {
			return fmt.Errorf("batch %s is %s", b.ID, b.State)
		}
		time.Sleep(pause)
	}
}
