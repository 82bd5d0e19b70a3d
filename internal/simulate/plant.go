package simulate

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// PlantConfig says what a plant makes and where it gets certificates.
type PlantConfig struct {
	Client   *client.Client
	Endpoint string // name or label; its profile puts the device id in serialNumber and hardwareModuleName
	Devices

	// Root is what every certificate must chain to. What lies between is asked of
	// the server.
	Root *x509.Certificate

	Format      client.Format // of the rows handed in; "" is PEM
	ProductLine string        // of the whole batch; likewise Lot and Site
	Lot         string
	Site        string

	// Idempotency is the batch's idempotency key; "" is none. Keys are made anew
	// at each call, so that a second call with the same one is refused.
	Idempotency string

	KeyDir string // as in CSRs

	// Results gets the certificates that were verified, in PEM and in row order,
	// each after a line that names its row and device. Nil is nowhere.
	Results io.Writer
	// Acknowledged gets a line for each of them, as internal/check reads it. Nil
	// is nowhere.
	Acknowledged io.Writer

	Now        pki.Clock           // nil is time.Now
	OnProgress func(PlantProgress) // called from one goroutine at a time; nil is nobody
}

// A Stage is a part of a plant's work.
type Stage string

// The stages.
const (
	Submitting Stage = "submitting" // making keys and requests while sending them
	Issuing    Stage = "issuing"
	Verifying  Stage = "verifying"
)

// PlantProgress is how far a plant has come.
type PlantProgress struct {
	Stage Stage
	Done  int64 // devices, in this stage
	Total int64
	Rate  float64 // devices a second; while issuing, as the server says
}

// PlantReport is what a plant got.
type PlantReport struct {
	Batch    string    `json:"batch"`
	Started  time.Time `json:"started"`
	Devices  int64     `json:"devices"`
	Issued   int64     `json:"issued"` // and verified
	Refused  int64     `json:"refused"`
	Missing  int64     `json:"missing"`            // cancelled, or without an end
	Wrong    int64     `json:"wrong"`              // certificates that did not verify
	Seconds  float64   `json:"seconds"`            // of all
	Rate     float64   `json:"rate"`               // devices a second, from the first key made to the last certificate issued
	Refusals []string  `json:"refusals,omitempty"` // the first few, as "row 1, SM-000001: reason"
	Faults   []string  `json:"faults,omitempty"`   // of the first few wrong certificates
	Samples  []Sample  `json:"samples"`            // the first few devices that have a certificate
}

// A Sample is a device with its key and certificate.
type Sample struct {
	Device      pki.DeviceID `json:"device"`
	Issuer      string       `json:"issuer"`
	Serial      string       `json:"serial"`
	Certificate string       `json:"certificate"` // PEM
	Key         pki.Secret   `json:"-"`           // PKCS #8 in PEM
}

// few is how many samples, refusals and faults are kept.
const few = 3

// A plant is one run.
type plant struct {
	cfg    PlantConfig
	keys   [][32]byte // SHA-256 of each device's SubjectPublicKeyInfo: all that is kept of most devices
	kept   []*device  // the first few, whole
	row    int64      // the last that an end was read of
	report *PlantReport
}

// Plant does what a meter maker's server does for a work order: it makes a key and
// a request for each device, hands them in as one batch while it makes them, waits
// until they are issued, and verifies each certificate against its key, its device
// and the root.
//
// What is refused, missing or wrong is in the report; an error means that the plant
// could not end its work. The rows cannot be sent twice, so that a connection that
// breaks while they are handed in is such an error: a plant that must survive it
// keeps its requests in a file (WriteCSRs) and submits that.
func Plant(ctx context.Context, cfg PlantConfig) (*PlantReport, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Format == "" {
		cfg.Format = client.PEM
	}
	begun := time.Now() // how long it takes is measured, whatever cfg.Now says
	p := &plant{cfg: cfg, report: &PlantReport{Started: cfg.Now().UTC(), Devices: int64(cfg.Count)}}
	v, err := p.newVerifier(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.submit(ctx); err != nil {
		return nil, err
	}
	if err := p.wait(ctx); err != nil {
		return nil, err
	}
	p.report.Rate = float64(p.report.Devices) / time.Since(begun).Seconds()
	if err := p.collect(ctx, v); err != nil {
		return nil, err
	}
	p.report.Seconds = time.Since(begun).Seconds()
	return p.report, nil
}

// newVerifier fetches the chain of the endpoint's authority, so that a wrong root
// is found before anything is made.
func (p *plant) newVerifier(ctx context.Context) (*verifier, error) {
	endpoint, err := p.cfg.Client.Endpoint(ctx, p.cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("reading endpoint %s: %w", p.cfg.Endpoint, err)
	}
	chain, err := p.cfg.Client.Chain(ctx, endpoint.Authority)
	if err != nil {
		return nil, fmt.Errorf("reading the chain of endpoint %s: %w", p.cfg.Endpoint, err)
	}
	return newVerifier(p.cfg.Root, chain, p.cfg.Now)
}

// submit makes the devices and hands in their rows as it makes them.
func (p *plant) submit(ctx context.Context) error {
	rows := CSRs{
		Devices: p.cfg.Devices, Format: p.cfg.Format, KeyDir: p.cfg.KeyDir,
		OnProgress: func(n int) { p.tell(Submitting, int64(n), 0) },
	}
	if err := rows.check(); err != nil {
		return err
	}
	p.keys = make([][32]byte, 0, p.cfg.Count)
	body, pipe := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := rows.write(ctx, pipe, p.keep)
		pipe.CloseWithError(err)
		written <- err
	}()
	batch, err := p.cfg.Client.Submit(ctx, client.Submission{
		Endpoint: p.cfg.Endpoint, Format: p.cfg.Format, IdempotencyKey: p.cfg.Idempotency,
		ProductLine: p.cfg.ProductLine, Lot: p.cfg.Lot, Site: p.cfg.Site,
	}, body)
	body.Close() // ends the writer where the server did not read to the end
	if werr := <-written; werr != nil && !errors.Is(werr, io.ErrClosedPipe) {
		return werr
	}
	if err != nil {
		return fmt.Errorf("submitting the batch: %w", err)
	}
	p.report.Batch = batch.ID
	return nil
}

// keep remembers what is needed of a device.
func (p *plant) keep(d *device) {
	p.keys = append(p.keys, d.spki)
	if len(p.kept) < few {
		p.kept = append(p.kept, d)
	}
}

// How long a plant bears with a server that does not answer.
const (
	patience = 2 * time.Minute
	pause    = time.Second
)

// wait waits until the batch is done or cancelled. One that somebody paused is
// waited for, and a server that goes away for a while, to restart for instance, is
// asked again.
func (p *plant) wait(ctx context.Context) error {
	heard := time.Now()
	for {
		batch, err := p.watch(ctx)
		_, refused := errors.AsType[*client.Problem](err)
		switch {
		case batch != nil && (batch.State == client.Done || batch.State == client.Cancelled):
			return nil
		case batch != nil:
			heard = time.Now()
		case refused || ctx.Err() != nil || time.Since(heard) > patience:
			return fmt.Errorf("watching batch %s: %w", p.report.Batch, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// watch follows the batch until it is at rest or the server cannot be reached. It
// returns the batch as it was last, or an error where there was no word of it.
func (p *plant) watch(ctx context.Context) (last *client.Batch, err error) {
	err = errors.New("the server said nothing")
	for b, failed := range p.cfg.Client.Watch(ctx, p.report.Batch) {
		if failed != nil {
			err = failed
			break
		}
		last = b
		p.tell(Issuing, b.Issued+b.Refused, b.Rate)
	}
	if last != nil {
		return last, nil
	}
	return nil, err
}

// tell reports progress.
func (p *plant) tell(stage Stage, done int64, rate float64) {
	if p.cfg.OnProgress != nil {
		p.cfg.OnProgress(PlantProgress{Stage: stage, Done: done, Total: p.report.Devices, Rate: rate})
	}
}
