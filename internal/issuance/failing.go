package issuance

import (
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

const (
	storeTrials = 6               // of a record of single requests whose commit fails, before they are told
	longestWait = time.Second     // between commits that fail
	lastWait    = 5 * time.Second // of a batch for a record, from the order to stop
)

// failed handles a commit with an unknown outcome. Nothing fresh is signed: each
// new intent is recorded as void, which does nothing where it was not stored.
// Records are tried again. Those of batches are until the store can write: given up,
// their serial numbers would stay in the CRLs, and their rows be signed again under
// others. Single requests are told in time; their records become void as soon as the
// store takes that. So does a record that the store refuses, though it can write: it
// might never take it. All that waits for an intent is refused before it has one.
func (c *committer) failed(records, fresh []*group, singles []*single, cause error) {
	c.failing++
	c.mu.Lock() // before anybody is told, who may come again at once
	c.turnAway(&pki.Error{Kind: pki.Unavailable, Cause: cause, RetryAfter: 5 * time.Second,
		Detail: "the store takes no certificates at this moment; send the request again later, the same one under the same idempotency key"})
	c.mu.Unlock()
	refusal := pki.Because(pki.Unavailable, cause, "the request could not be stored; send it again with the same idempotency key")
	for _, r := range singles {
		r.intended <- refusal
	}
	for _, g := range fresh {
		if g.intended != nil {
			g.intended <- refusal
		}
		c.forsake(g, cause)
	}
	for _, g := range records {
		g.trials++
		insist := g.orphan || g.intent.Batch != "" && pki.KindOf(cause) == pki.Unavailable
		if g.trials >= storeTrials && !insist {
			c.forsake(g, cause)
			continue
		}
		c.addRecord(g)
	}
	c.pause()
}

// went handles a commit that was stored. The store is well again when it has taken
// certificates: a full disk still has room for an intent, or for what makes one void.
func (c *committer) went(records, fresh []*group) {
	switch {
	case c.failing == 0:
	case made(records):
		c.failing = 0
	case slices.ContainsFunc(fresh, (*group).live):
		c.pause() // for the record of what was let through
	}
}

// probe is take while the store fails: it takes what is signed, or where there is nothing
// one chunk and one single request, whose records will show whether the store is well. It
// needs mu.
func (c *committer) probe() (records, fresh []*group, singles []*single) {
	if records = c.takeRecords(min(len(c.signed), maxGroups)); len(records) > 0 {
		return records, nil, nil
	}
	fresh, singles = c.takeSingles(1)
	if c.groups.len() > 0 {
		fresh = append(fresh, c.groups.pop())
	}
	for _, g := range fresh {
		c.s.opened(g)
	}
	return records, fresh, singles
}

// pause waits after a commit that failed, and for the record that shows whether the store
// is well.
func (c *committer) pause() {
	time.Sleep(min(longestWait, 10*time.Millisecond<<min(c.failing, 10)))
}

// made reports whether a certificate of one of the groups was recorded.
func made(records []*group) bool {
	for _, g := range records {
		for _, item := range g.intent.Items {
			if item.DER != nil && g.intent.Err == nil {
				return true
			}
		}
	}
	return false
}

// forsake ends a group whose intent may or may not be stored, and has it
// recorded as void where it is.
func (c *committer) forsake(g *group, cause error) {
	c.s.through(g, cause)
	c.addRecord(&group{intent: voided(g.intent), recorded: make(chan struct{}), orphan: true})
}

// voided returns a copy of the intent whose items have no certificate, sharing
// nothing with requests that were told already. What Commit said of the items
// stays: where it was stored after all, those it refused are not part of it.
func voided(n *Intent) *Intent {
	v := *n
	v.Items = make([]*Item, len(n.Items))
	for i, item := range n.Items {
		cp := *item
		cp.DER, cp.With = nil, nil
		v.Items[i] = &cp
	}
	return &v
}
