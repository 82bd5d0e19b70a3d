package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/simulate"
)

// simulateCommand is "pando simulate".
type simulateCommand struct {
	Plant simulatePlant `cmd:"" help:"Play a maker's own server: make keys and CSRs, submit them, verify what comes back."`
	Csrs  simulateCSRs  `cmd:"" help:"Write a file of CSRs, as a plant hands one in."`
}

// deviceFlags say which devices to make.
type deviceFlags struct {
	Devices     int    `default:"1000" placeholder:"N" help:"How many devices (default: ${default})."`
	Prefix      string `default:"SM-" placeholder:"TEXT" help:"Beginning of their ids (default: ${default})."`
	First       int    `default:"1" placeholder:"N" help:"Number of the first (default: ${default})."`
	Format      string `enum:"pem, ndjson" default:"pem" placeholder:"FORMAT" help:"How the CSRs are written: ${enum} (default: ${default})."`
	ProductLine string `placeholder:"NAME" help:"Product line of the devices."`
	Lot         string `placeholder:"NAME" help:"Lot of the devices."`
	Site        string `placeholder:"NAME" help:"Site of the devices."`
	KeyDir      string `placeholder:"DIR" help:"Write each device's key and CSR to this directory (default: keys are not kept)."`
}

func (f *deviceFlags) devices() simulate.Devices {
	return simulate.Devices{Prefix: f.Prefix, First: f.First, Count: f.Devices}
}

// makeKeyDir makes the directory for keys, where one is named.
func (f *deviceFlags) makeKeyDir() error {
	if f.KeyDir == "" {
		return nil
	}
	return os.MkdirAll(f.KeyDir, 0o700)
}

// simulatePlant is "pando simulate plant".
type simulatePlant struct {
	Endpoint string `required:"" placeholder:"LABEL" help:"Label or name of the endpoint."`
	Root     string `placeholder:"FILE" help:"Root that every certificate must chain to, PEM or DER (default with --quickstart: its root)."`
	deviceFlags
	Results      string `placeholder:"FILE" help:"Write the verified certificates to this new file, as PEM."`
	Acknowledged string `placeholder:"FILE" help:"Write a line for each of them to this new file, for 'pando check --acknowledged'."`
}

func (simulatePlant) Help() string {
	return `Verifies each certificate against its own key, its device and the root with Go's own library, none of pando's code. The exit status is 1 where any certificate is missing, refused or wrong.

Examples:

    pando --quickstart DIR simulate plant --endpoint meter --devices 10000 --prefix LOT7-`
}

// Run plays the plant.
func (s *simulatePlant) Run(ctx context.Context, c *console, g *globals, cl *client.Client) (err error) {
	root, err := s.root(c, g)
	if err != nil {
		return err
	}
	if err := s.makeKeyDir(); err != nil {
		return err
	}
	p := newProgress(c)
	cfg := simulate.PlantConfig{
		Client: cl, Endpoint: s.Endpoint, Devices: s.devices(), Root: root, Format: client.Format(s.Format),
		ProductLine: s.ProductLine, Lot: s.Lot, Site: s.Site, KeyDir: s.KeyDir,
		OnProgress: func(at simulate.PlantProgress) {
			p.show(step{stage: string(at.Stage), done: at.Done, total: at.Total, rate: at.Rate})
		},
	}
	for _, out := range []struct {
		path string
		to   *io.Writer
	}{{s.Results, &cfg.Results}, {s.Acknowledged, &cfg.Acknowledged}} {
		if out.path == "" {
			continue
		}
		f, createErr := createNew(out.path)
		if createErr != nil {
			return createErr
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		*out.to = f
	}
	report, err := simulate.Plant(ctx, cfg)
	p.end()
	if err != nil {
		return err
	}
	if err := c.result(report, plantReport(report)); err != nil {
		return err
	}
	if report.Issued != report.Devices {
		return errSilent
	}
	return nil
}

// root returns the certificate that everything must chain to.
func (s *simulatePlant) root(c *console, g *globals) (*x509.Certificate, error) {
	path := s.Root
	if dir := g.quickstartDir(); path == "" && dir != "" {
		t, err := readQuickstart(dir)
		if err != nil {
			return nil, err
		}
		path = t.Root
	}
	if path == "" {
		return nil, usagef("which root must the certificates chain to? Name it with --root")
	}
	der, err := c.readPEM(path, "CERTIFICATE", maxCertificate)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: it is no certificate: %w", path, err)
	}
	return root, nil
}

// plantReport prints a report for people.
func plantReport(r *simulate.PlantReport) func(io.Writer) error {
	return func(w io.Writer) error {
		t := table{}
		t.add("batch", r.Batch)
		t.add("devices", r.Devices)
		t.add("issued and verified", r.Issued)
		t.add("refused", r.Refused)
		t.add("missing", r.Missing)
		t.add("wrong", r.Wrong)
		t.add("seconds", fmt.Sprintf("%.1f", r.Seconds))
		t.add("devices per second", fmt.Sprintf("%.0f", r.Rate))
		if err := t.write(w); err != nil {
			return err
		}
		for _, line := range append(r.Refusals, r.Faults...) {
			fmt.Fprintln(w, line)
		}
		return nil
	}
}

// simulateCSRs is "pando simulate csrs".
type simulateCSRs struct {
	deviceFlags
	Out string `placeholder:"FILE" help:"Write to this new file (default: standard output)."`
}

func (simulateCSRs) Help() string {
	return `Needs no server. The keys are gone unless --key-dir is given.

Examples:

    pando simulate csrs --devices 100000 --out lot-7.pem
    pando batch submit lot-7.pem --endpoint meter --wait`
}

// Run writes the CSRs.
func (s *simulateCSRs) Run(ctx context.Context, c *console) error {
	if err := s.makeKeyDir(); err != nil {
		return err
	}
	p := newProgress(c)
	defer p.end()
	started := time.Now()
	cfg := simulate.CSRs{Devices: s.devices(), Format: client.Format(s.Format),
		ProductLine: s.ProductLine, Lot: s.Lot, Site: s.Site, KeyDir: s.KeyDir,
		OnProgress: func(written int) {
			p.show(step{stage: "writing", done: int64(written), total: int64(s.Devices),
				rate: float64(written) / time.Since(started).Seconds()})
		}}
	if s.Out == "" || s.Out == "-" {
		return simulate.WriteCSRs(ctx, c.out, cfg)
	}
	f, err := createNew(s.Out)
	if err != nil {
		return err
	}
	if err := errors.Join(simulate.WriteCSRs(ctx, f, cfg), f.Close()); err != nil {
		os.Remove(s.Out)
		return err
	}
	return c.result(writtenCSRs{s.Out, s.Devices, s.Format, s.KeyDir}, func(io.Writer) error { return nil })
}

// writtenCSRs is the result of "pando simulate csrs", as JSON.
type writtenCSRs struct {
	File    string `json:"file"`
	Devices int    `json:"devices"`
	Format  string `json:"format"`
	KeyDir  string `json:"key_dir,omitempty"`
}
