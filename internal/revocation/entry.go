package revocation

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/pando-pki/pando/internal/pki"
)

// Next returns the number of a new entry with the given reason after the latest
// entry of a certificate, nil where there is none. After a final revocation
// nothing comes: AlreadyRevoked. A certificate that is on hold is not held again,
// and one that is not is not released: Conflict.
func Next(latest *pki.Revocation, reason pki.Reason) (n int, err error) {
	n = 1
	held := false
	if latest != nil {
		n = latest.N + 1
		held = latest.Reason == pki.CertificateHold
		if !held && latest.Reason != pki.RemoveFromCRL {
			return 0, pki.Errorf(pki.AlreadyRevoked, "the certificate is revoked already, which is for good")
		}
	}
	switch {
	case reason == pki.CertificateHold && held:
		return 0, pki.Errorf(pki.Conflict, "the certificate is on hold already: release it, or revoke it for good")
	case reason == pki.RemoveFromCRL && !held:
		return 0, pki.Errorf(pki.Conflict, "the certificate is not on hold: there is nothing to release")
	}
	return n, nil
}

// HeldByLender is why the owner of a certificate does not release it: the tenant whose
// authority issued it placed the hold.
func HeldByLender(lender pki.TenantID) error {
	return pki.Forbid(pki.LenderHolds, "the tenant %q, whose authority issued the certificate, placed the hold, and only it ends it: ask its people to release the certificate; you may revoke it for good", lender)
}

// DeviceSuspended is why a certificate is not released: its device is suspended,
// which holds all that the device has, until it resumes.
func DeviceSuspended(id pki.DeviceID) error {
	return pki.Errorf(pki.Conflict, "the device %q is suspended, and its certificates are on hold with it: resume the device ('pando device resume'), which releases what its suspension held", id)
}

// entryQueue has those that come at once share a transaction: whoever has the
// turn stores all that wait, and one sync is enough for them.
type entryQueue struct {
	turn    gate
	mu      sync.Mutex
	waiting []*queuedEntry // guarded by mu
}

type queuedEntry struct {
	*Entry
	done chan struct{} // closed when err is set
	err  error         // of the transaction
}

func newEntryQueue() *entryQueue { return &entryQueue{turn: newGate()} }

// store stores the entry, with others, and returns its outcome. An entry that is
// on its way is waited for whatever becomes of ctx: what was stored is never
// reported as given up.
func (q *entryQueue) store(ctx context.Context, to Store, e *Entry) error {
	own := &queuedEntry{Entry: e, done: make(chan struct{})}
	q.mu.Lock()
	q.waiting = append(q.waiting, own)
	q.mu.Unlock()
	select {
	case <-own.done:
	case q.turn <- struct{}{}:
		defer q.turn.leave()
		select {
		case <-own.done: // whoever had the turn before took it along
		default:
			q.storeAll(context.WithoutCancel(ctx), to)
		}
	case <-ctx.Done():
		if q.withdraw(own) {
			return pki.Because(pki.Unavailable, ctx.Err(), "the request was given up before its turn came")
		}
		<-own.done
	}
	return cmp.Or(own.err, own.Err)
}

// storeAll stores what waits. It needs the turn.
func (q *entryQueue) storeAll(ctx context.Context, to Store) {
	q.mu.Lock()
	group := q.waiting
	q.waiting = nil
	q.mu.Unlock()
	err := errors.New("storing a group of revocations broke off")
	defer func() { // also after a panic
		for _, w := range group {
			w.err = err
			close(w.done)
		}
	}()
	entries := make([]*Entry, len(group))
	for i, w := range group {
		entries[i] = w.Entry
	}
	err = to.Revoke(ctx, entries)
}

// withdraw takes the entry out of the queue; false where it is on its way.
func (q *entryQueue) withdraw(own *queuedEntry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.Index(q.waiting, own)
	if at < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, at, at+1)
	return true
}
