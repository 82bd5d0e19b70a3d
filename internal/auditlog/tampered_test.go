package auditlog_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// tamperings is how many databases of each kind TestTamperedStore changes.
const tamperings = 36

// tampering is what is done to a copy of the database at random, to entries before the
// given size; with is whether what is changed will be signed by the log's own key.
var tampering = map[string]func(c *copied, random *rand.Rand, size int64, with bool) string{
	"edit": func(c *copied, random *rand.Rand, size int64, with bool) string {
		return c.edit(random, c.leaf(random.Int64N(size)), with)
	},
	"delete": func(c *copied, random *rand.Rand, size int64, with bool) string {
		return c.remove(random, c.leaf(random.Int64N(size)), with)
	},
	"insert": func(c *copied, random *rand.Rand, size int64, _ bool) string {
		return c.insert(random, c.leaf(random.Int64N(size)))
	},
	"reorder": func(c *copied, random *rand.Rand, size int64, _ bool) string {
		return c.reorder(random, c.leaf(random.Int64N(size)), size)
	},
	"cut tail": func(c *copied, random *rand.Rand, size int64, with bool) string {
		if !with && random.IntN(2) == 0 {
			return c.rollBack(random, size)
		}
		return c.cut(c.leaf(1 + random.Int64N(size-1))) // one is left, at least
	},
}

// TestTamperedStore changes copies of a real database at random: by whoever has the
// database, and by who has the log's key, too, so that the tree is made anew and signed.
// The export of each is made by the service, as it would be for an auditor, and the
// offline verifier finds it with nothing but the checkpoints of an anchor. A server that
// has the anchor does not start with a log that is another, or shorter.
func TestTamperedStore(t *testing.T) {
	random := pandotest.Seeded(t)
	b := newBench(t)
	var older []*copied
	for n := range 6 {
		b.issue(n)
		b.later.Add(int64(2 * time.Minute))
		b.round()
		older = append(older, b.copied())
	}
	size := older[5].size() // that the anchor has
	older = older[:5]
	anchored := b.anchored()
	b.issue(6)
	b.ok(auditlog.Sequence(b.log, b.Context()))

	honest := b.copied()
	r := honest.verify(anchored...)
	if !r.OK() || r.Certificates < 7 || r.Revocations != 6 || r.Events == 0 || r.To != r.Size || r.Size <= size || len(r.Since) != len(anchored) {
		t.Fatalf("of a copy that nobody changed: %+v", r)
	}
	b.ok(honest.starts(b))
	honest.rebuild(false) // finds nothing by itself
	if r := honest.verify(anchored...); !r.OK() || len(r.Since) != len(anchored) {
		t.Fatalf("of the same log, made anew: %+v", r)
	}
	b.ok(honest.starts(b))
	times := tamperings
	if testing.Short() {
		times = 6
	}
	for _, kind := range slices.Sorted(maps.Keys(tampering)) {
		for n := range times {
			c, with := b.copied(), n%2 == 1
			what := tampering[kind](c, random, size, with)
			if with {
				if random.IntN(2) == 0 {
					c.grow(random.IntN(10)) // so that it is not shorter
				}
				c.rebuild(false)
			}
			// Rolled back it is whole without the key.
			b.finds(c, fmt.Sprintf("%s, with the log's key: %t: %s", kind, with, what), with || c.size() < size)
		}
	}
	other := newBench(t)
	for n := range times {
		c, what := b.swapped(other, older, random, n)
		b.finds(c, what, true)
	}
}

// issue has a certificate issued, which is revoked, held, or held and released, all but
// the seventh.
func (b *bench) issue(n int) {
	b.Helper()
	c, err := b.enroll(fmt.Sprintf("SM-%d", n))
	b.ok(err)
	if n == 6 {
		return
	}
	for _, reason := range [][]pki.Reason{{}, {pki.KeyCompromise}, {pki.CertificateHold, pki.RemoveFromCRL}}[n%3] {
		e := &revocation.Entry{Tenant: "acme", Revocation: pki.Revocation{Issuer: c.Issuer, Serial: c.Serial, Reason: reason, At: b.Now().Truncate(time.Second)},
			Event: pki.Event{Tenant: "acme", At: b.Now(), Actor: "test", Action: "certificate.revoke", Target: "certificate:" + c.Serial.String()}}
		b.ok(b.Store.Revoke(b.Context(), []*revocation.Entry{e}))
		b.ok(e.Err)
	}
}

// anchored returns the checkpoints of acme's log that the anchor has.
func (b *bench) anchored() (notes []string) {
	for _, n := range b.anchor.notes {
		if strings.Contains(n, "/tenant/acme\n") {
			notes = append(notes, n)
		}
	}
	return notes
}

// swapped returns a database that is put in the place of b's: an older one of its own,
// as it is or after it went on, or that of another deployment, as it is or under b's name.
func (b *bench) swapped(other *bench, older []*copied, random *rand.Rand, n int) (c *copied, what string) {
	b.Helper()
	if n%4 < 2 {
		of := random.IntN(len(older))
		c = older[of].again()
		if n%4 == 0 {
			return c, fmt.Sprintf("an older database, the %dth", of)
		}
		more := 1 + random.IntN(40)
		c.grow(more)
		_, closed, err := c.open()
		b.ok(err)
		closed()
		return c, fmt.Sprintf("an older database, the %dth, with %d entries more", of, more)
	}
	_, err := other.enroll(fmt.Sprint("SM-", n))
	b.ok(err)
	other.round()
	c = other.copied()
	if n%4 == 2 {
		return c, "the database of another deployment"
	}
	deployment, err := b.Store.Deployment(b.Context())
	b.ok(err)
	c.do(fmt.Sprintf(`UPDATE setting SET value = '%s' WHERE name = 'deployment'`, deployment))
	c.rebuild(true)
	return c, "the database of another deployment, with this one's id"
}

// finds holds a copy that was changed against what the anchor has. One that is whole has
// a tree that its newest checkpoint is of: without the anchor nothing is found, and with
// it no server starts.
func (b *bench) finds(c *copied, what string, whole bool) {
	b.Helper()
	if whole {
		if err := c.starts(b); pki.KindOf(err) != pki.Unavailable || err == nil {
			b.Errorf("%s: a server starts: %v", what, err)
		}
		if r := c.verify(); !r.OK() {
			b.Errorf("%s: it does not hold together: %q", what, r.Findings)
		}
	}
	if c.verify(b.anchored()...).OK() {
		b.Errorf("%s: it is not found", what)
	}
}
