package issuance

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
)

// emptyStore is a store that takes everything and keeps nothing.
type emptyStore struct{ Store }

func (emptyStore) Enter(context.Context, string, time.Time) (int64, error)       { return 1, nil }
func (emptyStore) Clock(context.Context) (time.Time, error)                      { return time.Time{}, nil }
func (emptyStore) Stay(context.Context, string, int64, time.Time) error          { return nil }
func (emptyStore) Commit(context.Context, time.Time, []*Intent, []*Intent) error { return nil }
func (emptyStore) Adopt(context.Context, string, int64, time.Time, int) ([]*Intent, error) {
	return nil, nil
}

// hungSigner does not answer before release is closed.
type hungSigner struct {
	Signer
	release chan struct{}
}

func (s hungSigner) Sign(context.Context, pki.KeyURI, signer.Purpose, []byte, bool) ([]byte, error) {
	<-s.release
	return nil, errors.New("the module is gone")
}

// A shutdown waits for what is in flight, but not for ever for a key that does not
// answer: its intent stays open, for the next start.
func TestShutdownWithHungKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := hungSigner{release: make(chan struct{})}
		s, err := New(t.Context(), Config{Store: emptyStore{}, Signer: hung, Node: "test", Now: time.Now, Alarms: alarm.NewBoard(time.Now), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		issued := make(chan error, 1)
		go func() { issued <- s.IssueChunk(t.Context(), &Line{}, "batch", 0, []*Item{{}}, nil) }()
		synctest.Wait()

		began := time.Now()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < finishing || took > finishing+time.Minute {
			t.Errorf("the shutdown took %v", took)
		}
		if n := s.openIntents(); n != 1 {
			t.Errorf("%d open intents", n)
		}
		close(hung.release)
		if err := <-issued; pki.KindOf(err) != pki.Unavailable {
			t.Errorf("the chunk: %v", err)
		}
	})
}

// checkingSigner notes whether it was asked to verify.
type checkingSigner struct {
	Signer
	checks *[]bool
}

func (s checkingSigner) Sign(_ context.Context, _ pki.KeyURI, _ signer.Purpose, _ []byte, check bool) ([]byte, error) {
	*s.checks = append(*s.checks, check)
	return nil, errors.New("enough")
}

// Signatures are verified before release as the authority says; by hardware keys,
// and of CA certificates, always.
func TestSignCheck(t *testing.T) {
	for _, c := range []struct {
		name string
		line Line
		want bool
	}{
		{"software, hardware only", Line{Authority: pki.Authority{Kind: pki.Issuing, SignCheck: pki.CheckHardware}}, false},
		{"software, always", Line{Authority: pki.Authority{Kind: pki.Issuing, SignCheck: pki.CheckAlways}}, true},
		{"hardware", Line{Hardware: true, Authority: pki.Authority{Kind: pki.Issuing, SignCheck: pki.CheckHardware}}, true},
		{"of an intermediate", Line{Authority: pki.Authority{Kind: pki.Intermediate, SignCheck: pki.CheckHardware}}, true},
	} {
		var checks []bool
		s := &Service{cfg: Config{Signer: checkingSigner{checks: &checks}}}
		if err := s.sign(t.Context(), &c.line, &Item{}); err == nil || len(checks) != 1 || checks[0] != c.want {
			t.Errorf("%s: verified %v, %v", c.name, checks, err)
		}
	}
}

// One family's requests leave room for the others', a child's for its family's, and all
// of them have a bound.
func TestOpenRequestsAreBounded(t *testing.T) {
	s := &Service{live: make(map[pki.TenantID]int), cfg: Config{Family: parentBeforeDash}}
	leave := make(map[pki.TenantID]func())
	fill := func(owner pki.TenantID) (n int) {
		for n < 2*MaxOpen {
			done, ok := s.enter(owner)
			if !ok {
				break
			}
			leave[owner] = done
			n++
		}
		return n
	}
	if child, other, parent := fill("a-1"), fill("a-2"), fill("a"); child != MaxChild || other != MaxChild || parent != MaxFamily-2*MaxChild {
		t.Errorf("%d and %d requests of children and %d of their parent were let in", child, other, parent)
	}
	if b, c := fill("b"), fill("c"); b != MaxOpen-MaxFamily || c != 0 {
		t.Errorf("%d and %d requests of others were let in", b, c)
	}
	leave["a-1"]()
	if fill("c") != 1 || fill("b") != 0 {
		t.Error("the place that became free was not the next one's")
	}
}

// parentBeforeDash has a-1 and a-2 as children of a.
func parentBeforeDash(t pki.TenantID) pki.TenantID {
	top, _, _ := strings.Cut(string(t), "-")
	return pki.TenantID(top)
}
