package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pando-pki/pando/internal/quickstart"
)

// The numbers of certificates that a full store is compared at.
const (
	fewCertificates  = 100_000
	fullCertificates = 20_000_000
	quickFew         = 5_000
	quickFull        = 50_000
	sliceCount       = 10    // of a round, stored in each of both in turn
	sliceRows        = 2_000 // of a slice
	lookUps          = 2_000
)

// certificates is how many the full store has.
func (b *bench) certificates() int {
	switch {
	case b.cfg.Certificates > 0:
		return b.cfg.Certificates
	case b.length < time.Second:
		return 2 * fewRows
	case b.cfg.Quick:
		return quickFull
	default:
		return fullCertificates
	}
}

func (b *bench) fewCertificates() int {
	switch {
	case b.length < time.Second:
		return fewRows
	case b.cfg.Quick:
		return min(quickFew, b.certificates()/2)
	}
	return min(fewCertificates, b.certificates()/2)
}

// fullStore measures row 12: the cost of one more certificate, and of looking one
// up, in a store that has many, against one that has few. Slices go into both in
// turn, so that a neighbour's load meets both.
func (b *bench) fullStore(ctx context.Context) (err error) {
	for _, way := range []struct {
		name           string
		shared         bool
		insert, lookUp string
	}{
		{"reuse-unchecked", true, insertUnchecked, lookUpUnchecked},
		{"reuse-checked", false, insertChecked, lookUpChecked},
	} {
		few, full, err := b.twoStores(ctx, way.name, way.shared)
		if err != nil {
			return err
		}
		for range b.rounds {
			inFew, inFull, err := fillBoth(ctx, few, full, min(sliceRows, b.fewCertificates()/sliceCount))
			if err != nil {
				return err
			}
			fastFew, err := few.lookUp(ctx)
			if err != nil {
				return err
			}
			fastFull, err := full.lookUp(ctx)
			if err != nil {
				return err
			}
			b.report.add(way.insert, inFull.rate/inFew.rate)
			b.report.add(way.lookUp, fastFull/fastFew)
			b.tell("%s: %d certificates: %.0f inserts a second, %.1f µs of CPU, look-up %.1f µs; %d: %.0f, %.1f µs, look-up %.1f µs; %.2f × and %.2f ×",
				way.name, few.stored, inFew.rate, inFew.cpu, fastFew, full.stored, inFull.rate, inFull.cpu, fastFull,
				inFull.rate/inFew.rate, fastFull/fastFew)
		}
		if err := errors.Join(few.close(), full.close()); err != nil {
			return err
		}
		b.few, b.full = few, full // rows 9 and 13 go on with the last, which is the default
	}
	return nil
}

// fillBoth stores slices in both in turn.
func fillBoth(ctx context.Context, few, full *deployment, rows int) (inFew, inFull pace, err error) {
	var seconds [2]float64
	var cpu [2]float64
	for range sliceCount {
		for i, d := range []*deployment{few, full} {
			got, err := d.fill(ctx, rows)
			if err != nil {
				return pace{}, pace{}, err
			}
			seconds[i] += float64(rows) / got.rate
			cpu[i] += got.cpu / sliceCount
		}
	}
	total := float64(rows * sliceCount)
	return pace{total / seconds[0], cpu[0]}, pace{total / seconds[1], cpu[1]}, nil
}

// twoStores makes a store with few certificates and one with many.
func (b *bench) twoStores(ctx context.Context, name string, shared bool) (few, full *deployment, err error) {
	for _, row := range []int{9, 12, 13} {
		b.report.sizes[row] = b.certificates()
	}
	for _, s := range []struct {
		name string
		n    int
		to   **deployment
	}{{name + "-few", b.fewCertificates(), &few}, {name + "-full", b.certificates(), &full}} {
		d, err := b.newDeployment(ctx, s.name)
		if err != nil {
			return nil, nil, err
		}
		d.shared = shared
		for d.stored < s.n {
			got, err := d.fill(ctx, min(1_000_000, s.n-d.stored))
			if err != nil {
				return nil, nil, err
			}
			b.tell("%s: filled to %d, %.0f a second, %.1f µs of CPU", s.name, d.stored, got.rate, got.cpu)
		}
		*s.to = d
	}
	return few, full, nil
}

// lookUp returns the median time of reading a certificate whole, of some that were
// stored at any time, in microseconds.
func (d *deployment) lookUp(ctx context.Context) (us float64, err error) {
	issuer := d.issuerOf("manufacturing")
	took := make([]float64, 0, lookUps)
	for range lookUps {
		begun := time.Now()
		c, err := d.store.Certificate(ctx, "demo", issuer, d.known[rand.IntN(len(d.known))])
		if err != nil {
			return 0, err
		}
		if len(c.DER) == 0 {
			return 0, errors.New("a certificate came without its DER")
		}
		took = append(took, float64(time.Since(begun).Nanoseconds())/1e3)
	}
	return median(took), nil
}

// twoDeployments makes the stores of row 12 where it was not measured.
func (b *bench) twoDeployments(ctx context.Context) error {
	if b.full != nil {
		return nil
	}
	few, full, err := b.twoStores(ctx, "reuse-checked", false)
	if err != nil {
		return err
	}
	b.few, b.full = few, full
	return errors.Join(few.close(), full.close())
}

// startFull measures row 13: from the start of the process to ready.
func (b *bench) startFull(ctx context.Context) error {
	if err := b.twoDeployments(ctx); err != nil {
		return err
	}
	none, err := b.newDeployment(ctx, "none")
	if err != nil {
		return err
	}
	if err := none.close(); err != nil {
		return err
	}
	for range b.rounds {
		var took [2]time.Duration
		for i, d := range []*deployment{none, b.full} {
			begun := time.Now()
			p, err := b.playStory(ctx, d.dir)
			if err != nil {
				return err
			}
			err = p.decode(new(quickstart.File))
			took[i] = time.Since(begun)
			if err = errors.Join(err, p.end()); err != nil {
				return fmt.Errorf("%w\n%s", err, lastWords(b.dir, serverLog))
			}
		}
		b.report.add(startWith, took[1].Seconds()/took[0].Seconds())
		b.tell("start: %v with none, %v with %d; %.2f ×", took[0], took[1], b.full.stored, took[1].Seconds()/took[0].Seconds())
	}
	return nil
}

// memoryOf measures row 9: the memory of a server after a batch, with few
// certificates in its store and with many.
func (b *bench) memoryOf(ctx context.Context) error {
	if err := b.twoDeployments(ctx); err != nil {
		return err
	}
	var got [2]float64
	for i, d := range []*deployment{b.few, b.full} {
		if err := b.serve(ctx, d.dir); err != nil {
			return err
		}
		for left := b.fewCertificates(); left > 0; left -= quickRows {
			if _, err := b.issueFile(ctx, min(left, quickRows)); err != nil {
				return err
			}
		}
		now, err := b.server.memory("VmRSS")
		if err != nil {
			return err
		}
		most, err := b.server.memory("VmHWM")
		if err != nil {
			return err
		}
		got[i] = now
		b.tell("memory with %d certificates in the store, after %d more by batch: %.0f MiB, %.0f at most", d.stored, b.fewCertificates(), now, most)
		if err := b.stopServer(); err != nil {
			return err
		}
	}
	b.report.add(memoryFew, got[0])
	b.report.add(memoryFull, got[1])
	return nil
}
