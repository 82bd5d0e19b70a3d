//go:build system

package acceptance

import (
	"context"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pando-pki/pando/client"
)

// patience is how long a ceremony, which derives keys from passphrases, and the CRLs of a
// next issuer may take on a machine that is busy with other things.
const patience = 5 * time.Minute

// A roller rolls the authority of a house's meters over, again and again.
type roller struct {
	*house
	random    *rand.Rand
	authority string
	endpoint  string                       // of the authority
	probes    map[string]*x509.Certificate // one that each issuer has signed
	cut       int                          // steps that were cut off in between
	above     string                       // authority above it, where that is online
}

func newRoller(t *testing.T, h *house, random *rand.Rand) *roller {
	t.Helper()
	r := &roller{house: h, random: random, endpoint: "device", probes: make(map[string]*x509.Certificate)}
	e, err := h.as(t, "").Endpoint(t.Context(), r.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	r.authority = e.Authority
	return r
}

// An act is one call of a rollover.
type act func(ctx context.Context, c *client.Client) error

// A step is an act with what becomes of the states of the issuers, newest first.
type step struct {
	name    string
	prepare func(t *testing.T) act
	becomes func(states []string) []string
	between func(states []string) []string // what it may be cut off in; nil is nothing
}

func (a act) asIs(*testing.T) act { return a }

// first returns what puts a state in the place of the newest issuer's.
func first(state string) func([]string) []string {
	return func(s []string) []string { return append([]string{state}, s[1:]...) }
}

// steps are those of three rollovers, two of which are given up: one while its issuer is
// pending, and one when it is next.
func (r *roller) steps() []step {
	rollover := step{name: "rollover", prepare: r.rollover, becomes: begin("pending")}
	install := step{name: "install", prepare: func(t *testing.T) act { return installs(r.ceremony(t)) }, becomes: first("next")}
	return []step{rollover, r.drop(), rollover, install, r.drop(), rollover, install, r.change()}
}

// onlineSteps are those of two rollovers below an authority whose key is in the server, of
// which one is given up.
func (r *roller) onlineSteps() []step {
	rollover := step{name: "rollover", prepare: r.rollover, becomes: begin("next"), between: begin("pending")}
	return []step{rollover, r.drop(), rollover, r.change()}
}

// begin returns what puts another issuer before those that there are.
func begin(state string) func([]string) []string {
	return func(s []string) []string { return append([]string{state}, s...) }
}

func (r *roller) rollover(*testing.T) act {
	return func(ctx context.Context, c *client.Client) error {
		_, err := c.Rollover(ctx, r.authority, client.Rollover{})
		return err
	}
}

func (r *roller) change() step {
	return step{name: "switch", prepare: act(func(ctx context.Context, c *client.Client) error {
		_, err := c.Switch(ctx, r.authority)
		return err
	}).asIs, becomes: func(s []string) []string {
		s = first("active")(s)
		s[1+slices.Index(s[1:], "active")] = "earlier"
		return s
	}}
}

func (r *roller) drop() step {
	return step{name: "drop", prepare: act(func(ctx context.Context, c *client.Client) error { return c.DropNext(ctx, r.authority) }).asIs, becomes: first("dropped")}
}

func installs(answer []byte) act {
	return func(ctx context.Context, c *client.Client) error { _, err := c.Install(ctx, answer); return err }
}

// ceremony has the root sign what the authority's next issuer asks for.
func (r *roller) ceremony(t *testing.T) []byte {
	t.Helper()
	return r.sign(t, filepath.Join(r.dir, "ceremony", "root.sealed"), r.authority)
}

// sign has a root, which has the passphrase of a quickstart's, sign what an authority asks
// for.
func (h *house) sign(t *testing.T, root, authority string) []byte {
	t.Helper()
	request, err := h.as(t, "").AuthorityRequest(t.Context(), authority)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	asked, answered := writeFile(t, dir, "request.json", request), filepath.Join(dir, "answer.json")
	out := pando(t, "ceremony", "sign", "--root", root, "--request", asked, "--out", answered, "--passphrase-file", h.passphrase(), "--yes")
	if out.status != 0 {
		t.Fatalf("ceremony sign: %s", out.stderr)
	}
	answer, err := os.ReadFile(answered)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// passphrase is the file with the passphrase of a quickstart's root.
func (h *house) passphrase() string { return filepath.Join(h.dir, "ceremony", "root.passphrase") }

// show returns the authority, asked until it is told; one that is not there has no issuers.
func (r *roller) show(t *testing.T) *client.Authority {
	t.Helper()
	var a *client.Authority
	c := r.as(t, "")
	err := insist(t.Context(), func() (err error) { a, err = c.Authority(t.Context(), r.authority); return err })
	if p, ok := errors.AsType[*client.Problem](err); ok && p.Status == http.StatusNotFound {
		return new(client.Authority)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func states(a *client.Authority) (all []string) {
	for _, i := range a.Issuers {
		all = append(all, i.State)
	}
	return all
}

// try does a step once while fault is at work on it, which returns when the server is
// well again. The authority is then as it was before, or between, or as it is after the step: after it
// where that was said. If need be the step is done again. It reports whether the fault was
// in its way.
func (r *roller) try(t *testing.T, s step, fault func(ended <-chan error) error) (hindered bool) {
	t.Helper()
	before := states(r.show(t))
	after := s.becomes(before)
	does := s.prepare(t)
	c, ended := r.as(t, ""), make(chan error, 1)
	go func() { ended <- does(t.Context(), c) }()
	err := fault(ended)
	now := states(r.show(t))
	switch {
	case slices.Equal(now, after):
	case !slices.Equal(now, before) && (s.between == nil || !slices.Equal(now, s.between(before))):
		t.Fatalf("%s leaves issuers that are %v; they were %v", s.name, now, before)
	case err == nil:
		t.Fatalf("%s was acknowledged, and issuers are %v", s.name, now)
	default:
		hindered = true
		if !slices.Equal(now, before) {
			r.cut++
		}
		if err := insist(t.Context(), func() error { return does(t.Context(), c) }); err != nil {
			t.Fatalf("%s again: %v", s.name, err)
		}
		if now := states(r.show(t)); !slices.Equal(now, after) {
			t.Fatalf("%s again leaves issuers that are %v, want %v", s.name, now, after)
		}
	}
	err = does(t.Context(), c)
	if p, ok := errors.AsType[*client.Problem](err); !ok || p.Status != http.StatusConflict {
		t.Errorf("%s once more: %v", s.name, err)
	}
	return hindered
}

// relint runs "pando check --relint" on the stopped server's data.
func (h *house) relint(t *testing.T) {
	t.Helper()
	if out := pando(t, "check", "--relint", "--data", h.data()); out.status != 0 {
		t.Errorf("pando check --relint: exit status %d\n%s%s", out.status, out.stdout, out.stderr)
	}
}

// killed tries a step while the server is killed, at a random moment within some time, and
// started again.
func (r *roller) killed(t *testing.T, s step, within time.Duration) (hindered bool) {
	t.Helper()
	return r.try(t, s, func(ended <-chan error) error {
		time.Sleep(time.Duration(r.random.Int64N(int64(within))))
		r.server.kill(t)
		err := <-ended
		r.begin(t)
		r.ready(t)
		return err
	})
}
