package simulate

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// chunk is how many devices are made at once by one worker.
const chunk = 32

// CSRs says which requests to write, and how.
type CSRs struct {
	Devices
	Format client.Format

	// Said in each row of NDJSON, where not empty. PEM has no room for them.
	ProductLine string
	Lot         string
	Site        string

	// KeyDir is a directory for DEVICE.key (PKCS #8) and DEVICE.csr, both PEM,
	// which must not exist. Empty writes none: the keys are gone then.
	KeyDir string

	// OnProgress is called with the number of requests written so far, from one
	// goroutine at a time; nil is nobody.
	OnProgress func(written int)
}

// WriteCSRs makes devices on all cores and writes their requests to w, in order of
// device id: the file that a plant hands in as a batch.
func WriteCSRs(ctx context.Context, w io.Writer, cfg CSRs) error {
	return cfg.write(ctx, w, func(*device) {})
}

// write does as WriteCSRs says and shows each device to made, in order.
func (cfg *CSRs) write(ctx context.Context, w io.Writer, made func(*device)) error {
	if err := cfg.check(); err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(w, 64<<10)
	err := ordered(ctx, cfg.starts(), cfg.makeChunk, func(devices []*device) error {
		for _, d := range devices {
			if err := cfg.writeRow(buffered, d); err != nil {
				return fmt.Errorf("writing the request of %s: %w", d.id, err)
			}
			made(d)
		}
		if cfg.OnProgress != nil {
			cfg.OnProgress(devices[len(devices)-1].index + 1)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("writing requests: %w", err)
	}
	return nil
}

// check refuses what cannot be written.
func (cfg *CSRs) check() error {
	if cfg.Format != client.PEM && cfg.Format != client.NDJSON {
		return pki.Errorf(pki.Malformed, "format %.20q: it is %s or %s", cfg.Format, client.PEM, client.NDJSON)
	}
	return cfg.Devices.check()
}

// starts yields the index of each chunk's first device.
func (cfg *CSRs) starts() iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for at := 0; at < cfg.Count && yield(at, nil); at += chunk {
		}
	}
}

// makeChunk makes the devices of a chunk, and writes their files.
func (cfg *CSRs) makeChunk(first int) ([]*device, error) {
	devices := make([]*device, 0, chunk)
	for i := first; i < min(first+chunk, cfg.Count); i++ {
		d, err := newDevice(i, cfg.ID(i))
		if err != nil {
			return nil, err
		}
		if cfg.KeyDir != "" {
			if err := d.writeFiles(cfg.KeyDir); err != nil {
				return nil, err
			}
		}
		devices = append(devices, d)
	}
	return devices, nil
}

// writeRow writes a device's row of the batch.
func (cfg *CSRs) writeRow(w io.Writer, d *device) error {
	if cfg.Format == client.PEM {
		return pem.Encode(w, &pem.Block{Type: "CERTIFICATE REQUEST", Bytes: d.csr})
	}
	line, err := json.Marshal(struct {
		CSR         []byte `json:"csr"`
		Device      string `json:"device"`
		ProductLine string `json:"product_line,omitempty"`
		Lot         string `json:"lot,omitempty"`
		Site        string `json:"site,omitempty"`
	}{d.csr, string(d.id), cfg.ProductLine, cfg.Lot, cfg.Site})
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// writeFiles writes the device's key and request to dir.
func (d *device) writeFiles(dir string) error {
	for suffix, block := range map[string]*pem.Block{
		".key": {Type: "PRIVATE KEY", Bytes: d.key},
		".csr": {Type: "CERTIFICATE REQUEST", Bytes: d.csr},
	} {
		// O_EXCL: a key that a device may have already is not overwritten.
		f, err := os.OpenFile(filepath.Join(dir, string(d.id)+suffix), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(pem.Encode(f, block), f.Close()); err != nil {
			return fmt.Errorf("writing %s: %w", f.Name(), err)
		}
	}
	return nil
}
