package issuance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// A nearlyFullStore is one on a full disk, while it is full: it has room for intents and
// for what makes one void, and none for certificates.
type nearlyFullStore struct {
	emptyStore
	cause error // of a commit that has no room

	mu       sync.Mutex
	full     bool
	intended int                // certificates that were intended
	recorded map[pki.Serial]int // how often
	void     int
}

func (s *nearlyFullStore) Commit(_ context.Context, _ time.Time, records, intents []*Intent) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range records {
		for _, item := range n.Items {
			if s.full && item.DER != nil {
				return s.cause
			}
		}
	}
	for _, n := range records {
		for _, item := range n.Items {
			if item.DER != nil {
				s.recorded[item.Serial]++
			} else {
				s.void++
			}
		}
	}
	for _, n := range intents {
		s.intended += len(n.Items)
	}
	return nil
}

func (s *nearlyFullStore) fill(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

// countingSigner signs everything with the same bytes, once it may.
type countingSigner struct {
	Signer
	signed *atomic.Int64
	may    <-chan struct{} // nil for at once
}

func (s countingSigner) Sign(context.Context, pki.KeyURI, signer.Purpose, []byte, bool) ([]byte, error) {
	if s.may != nil {
		<-s.may
	}
	s.signed.Add(1)
	return []byte("signature"), nil
}

// A fullDisk is a service that runs on a nearlyFullStore, which is full at first.
type fullDisk struct {
	*Service
	store  *nearlyFullStore
	signed atomic.Int64
	line   *Line
	stop   func()
	ended  chan error
}

func newFullDisk(t *testing.T, cause error, may <-chan struct{}) *fullDisk {
	t.Helper()
	d := &fullDisk{store: &nearlyFullStore{cause: cause, full: true, recorded: make(map[pki.Serial]int)}, ended: make(chan error, 1)}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := tbs.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	d.line = &Line{Parsed: &tbs.Parsed{Key: public}}
	d.Service, err = New(t.Context(), Config{Store: d.store, Signer: countingSigner{signed: &d.signed, may: may}, Node: "test",
		Now: time.Now, Alarms: alarm.NewBoard(time.Now), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	d.stop = stop
	go func() { d.ended <- d.Run(ctx) }()
	return d
}

// chunk issues a chunk of ten rows.
func (d *fullDisk) chunk(no int) <-chan error { return d.chunkWithin(context.Background(), no) }

func (d *fullDisk) chunkWithin(ctx context.Context, no int) <-chan error {
	items := make([]*Item, 10)
	for i := range items {
		items[i] = &Item{Serial: pki.NewSerial(pki.SerialRandom, time.Now()), Row: int64(i + 1)}
	}
	done := make(chan error, 1)
	go func() { done <- d.IssueChunk(ctx, d.line, "batch", no, items, nil) }()
	return done
}

// single makes one certificate of a single request.
func (d *fullDisk) single() error {
	leave, ok := d.enter("acme")
	if !ok {
		return errors.New("no room")
	}
	defer leave()
	_, _, err := d.together(context.Background(), d.line, []*Item{{Owner: "acme", Serial: pki.NewSerial(pki.SerialRandom, time.Now())}})
	return err
}

var errNoSpace = &pki.Error{Kind: pki.Unavailable, Cause: errors.New("database or disk is full")}

// TestFullStoreKeepsChunks: what a batch has signed waits until the store takes it,
// however long that is; nothing else is signed meanwhile, and no serial number is given up.
func TestFullStoreKeepsChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		may := make(chan struct{})
		d := newFullDisk(t, errNoSpace, may)
		var waiting []<-chan error
		for no := range 3 {
			waiting = append(waiting, d.chunk(no))
		}
		time.Sleep(time.Minute) // for all intents: one that shares a commit with a record that fails is given up
		close(may)
		time.Sleep(time.Minute)
		before := d.signed.Load()
		if before == 0 {
			t.Fatal("nothing was signed")
		}
		for no := 3; no < 100; no++ {
			select {
			case err := <-d.chunk(no):
				if pki.KindOf(err) != pki.Unavailable {
					t.Errorf("a chunk while the store is full: %v", err)
				}
			case <-time.After(time.Minute):
				t.Fatal("a chunk waits while the store is full")
			}
			time.Sleep(time.Hour)
		}
		if after := d.signed.Load(); after != before {
			t.Errorf("%d certificates were signed while what was signed could not be stored", after-before)
		}
		d.store.fill(false)
		for no, done := range waiting {
			if err := <-done; err != nil {
				t.Errorf("chunk %d: %v", no, err)
			}
		}
		if err := <-d.chunk(100); err != nil {
			t.Errorf("with space again: %v", err)
		}
		d.stop()
		if err := <-d.ended; err != nil {
			t.Error(err)
		}
		if d.store.void > 0 {
			t.Errorf("%d serial numbers were given up", d.store.void)
		}
		if len(d.store.recorded) != 40 || d.signed.Load() != 40 {
			t.Errorf("%d certificates were signed and %d recorded, want 40", d.signed.Load(), len(d.store.recorded))
		}
		for serial, n := range d.store.recorded {
			if n != 1 {
				t.Errorf("%s was recorded %d times", serial, n)
			}
		}
	})
}

// TestFullStoreRefusesSingles: while the store is full single requests get their answer
// soon, and one in a second at the most costs a serial number.
func TestFullStoreRefusesSingles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const long = 10 * time.Minute
		d := newFullDisk(t, errNoSpace, nil)
		var wg sync.WaitGroup
		var asked atomic.Int64
		for range 50 {
			wg.Go(func() {
				for begun := time.Now(); time.Since(begun) < long; time.Sleep(100 * time.Millisecond) {
					asked.Add(1)
					at := time.Now()
					if err := d.single(); pki.KindOf(err) != pki.Unavailable {
						t.Errorf("while the store is full: %v", err)
					}
					if took := time.Since(at); took > 2*storeTrials*longestWait {
						t.Errorf("the answer took %s", took)
					}
				}
			})
		}
		wg.Wait()
		if most := 50 + int(long/longestWait); d.store.void == 0 || d.store.void > most {
			t.Errorf("%d serial numbers were given up for %d requests, want one to %d", d.store.void, asked.Load(), most)
		}
		d.store.fill(false)
		for range 3 { // the first finds that it is well
			if err := d.single(); err != nil {
				t.Errorf("with space again: %v", err)
			}
		}
		d.stop()
		if err := <-d.ended; err != nil {
			t.Error(err)
		}
	})
}

// TestFullStoreStops: a server whose store takes nothing ends all the same, batches
// first, and leaves what it has signed to the next start.
func TestFullStoreStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFullDisk(t, errNoSpace, nil)
		batches, stopBatches := context.WithCancel(t.Context())
		done := d.chunkWithin(batches, 0)
		time.Sleep(time.Minute)
		begun := time.Now()
		stopBatches()
		if err := <-done; pki.KindOf(err) != pki.Unavailable {
			t.Errorf("the chunk: %v", err)
		}
		if took := time.Since(begun); took > lastWait {
			t.Errorf("the batch stopped after %s", took)
		}
		begun = time.Now()
		d.stop()
		if err := <-d.ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > finishing+2*longestWait {
			t.Errorf("the shutdown took %s", took)
		}
		if d.store.void > 0 || len(d.store.recorded) > 0 {
			t.Errorf("%d serial numbers were given up, %d certificates recorded", d.store.void, len(d.store.recorded))
		}
	})
}

// TestStoppedChunkIsRecorded: what a batch had signed when it was stopped is recorded when
// the store is well in time.
func TestStoppedChunkIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFullDisk(t, errNoSpace, nil)
		batches, stopBatches := context.WithCancel(t.Context())
		done := d.chunkWithin(batches, 0)
		time.Sleep(time.Minute)
		stopBatches()
		<-done
		d.stop()
		time.Sleep(finishing / 2)
		d.store.fill(false)
		if err := <-d.ended; err != nil {
			t.Error(err)
		}
		if d.store.void > 0 || len(d.store.recorded) != 10 {
			t.Errorf("%d serial numbers were given up, %d certificates recorded", d.store.void, len(d.store.recorded))
		}
	})
}

// TestRefusedRowsHoldNobodyUp: after the store failed, chunks that need no certificate
// keep no single request waiting, though no record shows that the store is well.
func TestRefusedRowsHoldNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFullDisk(t, errNoSpace, nil)
		if err := d.single(); pki.KindOf(err) != pki.Unavailable {
			t.Fatal(err)
		}
		d.store.fill(false)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var chunks atomic.Int64
		for range 16 { // as many as a batch has at a time
			wg.Go(func() {
				for ctx.Err() == nil {
					if err := d.IssueChunk(ctx, d.line, "batch", 0, nil, []Refusal{{}}); err != nil {
						t.Error(err)
						return
					}
					chunks.Add(1)
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		time.Sleep(time.Minute)
		if got := chunks.Load(); got < 60_000 {
			t.Errorf("%d chunks of refused rows in a minute", got)
		}
		begun := time.Now()
		if err := d.single(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begun); took > longestWait {
			t.Errorf("a single request took %s", took)
		}
		stop()
		wg.Wait()
		d.stop()
		if err := <-d.ended; err != nil {
			t.Error(err)
		}
	})
}

// TestRefusedRecord: a record that the store refuses, rather than cannot write, is not
// tried for ever, so that it does not hold up all others.
func TestRefusedRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFullDisk(t, errors.New("a constraint does not hold"), nil)
		if err := <-d.chunk(0); pki.KindOf(err) != pki.Unavailable {
			t.Errorf("the chunk: %v", err)
		}
		d.store.fill(false)
		if err := <-d.chunk(1); err != nil {
			t.Errorf("the next: %v", err)
		}
		d.stop()
		if err := <-d.ended; err != nil {
			t.Error(err)
		}
		if d.store.void != 10 || len(d.store.recorded) != 10 {
			t.Errorf("%d serial numbers were given up, %d certificates recorded", d.store.void, len(d.store.recorded))
		}
	})
}
