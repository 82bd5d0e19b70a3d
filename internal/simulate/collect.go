package simulate

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// An outcome is a row's end after verification.
type outcome struct {
	client.Result
	cert  *x509.Certificate // nil where there is none
	fault error             // what is wrong with the certificate
}

// collect fetches the results, verifies them on all cores, and writes down those
// that are right.
func (p *plant) collect(ctx context.Context, v *verifier) error {
	results, acknowledged := discardIfNil(p.cfg.Results), discardIfNil(p.cfg.Acknowledged)
	judge := func(r client.Result) (outcome, error) { return p.judge(v, r), nil }
	err := ordered(ctx, p.cfg.Client.Results(ctx, p.report.Batch, 0), judge, func(o outcome) error {
		p.count(&o)
		if o.cert == nil || o.fault != nil {
			return nil
		}
		fmt.Fprintf(results, "# row %d device %s\n%s", o.Row, o.Device, o.Certificate)
		fmt.Fprintf(acknowledged, `{"issuer":%q,"serial":%q,"sha256":"%x"}`+"\n", o.Issuer, o.Serial, sha256.Sum256(o.cert.Raw))
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the results of batch %s: %w", p.report.Batch, err)
	}
	p.report.Missing = p.report.Devices - p.report.Issued - p.report.Refused - p.report.Wrong
	for _, w := range []*bufio.Writer{results, acknowledged} {
		if err := w.Flush(); err != nil { // also of earlier writes
			return fmt.Errorf("writing results: %w", err)
		}
	}
	return nil
}

// discardIfNil returns a buffered writer to w.
func discardIfNil(w io.Writer) *bufio.Writer {
	if w == nil {
		w = io.Discard
	}
	return bufio.NewWriter(w)
}

// judge verifies one row's certificate.
func (p *plant) judge(v *verifier, r client.Result) outcome {
	o := outcome{Result: r}
	switch {
	case r.Row < 1 || r.Row > int64(len(p.keys)):
		o.fault = errors.New("the batch has no such row")
	case r.Status == client.RowIssued:
		index := int(r.Row - 1)
		id := p.cfg.ID(index)
		if o.cert, o.fault = v.verify([]byte(r.Certificate), id, p.keys[index]); o.fault != nil {
			return o
		}
		if fmt.Sprintf("%x", o.cert.SerialNumber.Bytes()) != r.Serial || r.Device != string(id) {
			o.fault = fmt.Errorf("the row says device %s and serial number %s", r.Device, r.Serial)
		}
	}
	return o
}

// count adds a row to the report.
func (p *plant) count(o *outcome) {
	if o.Row <= p.row {
		o.fault = errors.New("the row comes twice, or out of order")
	}
	p.row = o.Row
	r := p.report
	note := func(list *[]string, what string) {
		if len(*list) < few {
			*list = append(*list, fmt.Sprintf("row %d, %s: %s", o.Row, o.Device, what))
		}
	}
	switch {
	case o.fault != nil:
		r.Wrong++
		note(&r.Faults, o.fault.Error())
	case o.Status == client.RowIssued:
		r.Issued++
		p.sample(o)
	case o.Status == client.RowRefused:
		r.Refused++
		note(&r.Refusals, o.Kind+": "+o.Reason)
	}
	if o.Row%1000 == 0 || o.Row == r.Devices {
		p.tell(Verifying, o.Row, 0)
	}
}

// sample keeps the certificate of a device that was kept.
func (p *plant) sample(o *outcome) {
	if int(o.Row) > len(p.kept) {
		return
	}
	d := p.kept[o.Row-1]
	p.report.Samples = append(p.report.Samples, Sample{
		Device: d.id, Issuer: o.Issuer, Serial: o.Serial, Certificate: o.Certificate,
		Key: pki.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: d.key}))),
	})
}
