package check

import (
	"context"
	"fmt"
	"iter"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/auditlog"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

// checkLogs makes every entry of every log anew from its row, and with them the
// trees. It believes neither hashes nor tiles.
func (c *checker) checkLogs(ctx context.Context) error {
	logs, err := c.store.Logs(ctx)
	if err != nil {
		return fmt.Errorf("reading the logs: %w", err)
	}
	next, stop := iter.Pull2(c.leaves.sorted())
	defer stop()
	archived := &leafWalk{next: next}
	certificates := int64(0)
	for _, l := range logs {
		n, err := c.checkLog(ctx, l, archived)
		if err != nil {
			return fmt.Errorf("reading the log of tenant %q: %w", l.Tenant, err)
		}
		certificates += n
	}
	waiting, err := c.store.Backlog(ctx)
	if err != nil {
		return fmt.Errorf("reading what is not in the logs yet: %w", err)
	}
	leaves := int64(0)
	for _, b := range waiting {
		certificates, leaves = certificates+b.Certificates, leaves+b.Leaves
	}
	if all := c.report.Certificates + c.report.Archived + c.report.Unread; all > certificates {
		c.report.addf(LogComplete, "logs", "the store and its archives have %d certificates, and the logs have or will have %d", all, certificates)
	}
	if leaves == 0 { // else the log may yet say so
		for id := range c.manifests {
			c.report.addf(Archived, "archive "+string(id), "no log says that it was written")
		}
	}
	return nil
}

// A logCheck is the check of one log.
type logCheck struct {
	*checker
	log          *auditlog.Log
	subject      string
	tree         *audit.Tree
	signed       *audit.Checkpoint // nil where there is none that is sound
	archived     *leafWalk
	hasher       audit.Hasher
	certificates int64
}

// checkLog returns how many certificates the log has.
func (c *checker) checkLog(ctx context.Context, l *auditlog.Log, archived *leafWalk) (int64, error) {
	tree, err := audit.NewTree(0, nil)
	if err != nil {
		return 0, err
	}
	k := logCheck{checker: c, log: l, archived: archived, tree: tree, subject: logSubject(l.Tenant)}
	c.report.Logs++
	k.checkSigned()
	for tree.Size() < l.Size {
		if err := k.page(ctx); err != nil {
			return 0, err
		}
		c.tell("log entries", c.report.LogEntries)
	}
	if root := tree.Root(); root != l.Root {
		c.report.addf(Logged, k.subject, "its %d entries have the root %s, and %s was sequenced", l.Size, root, l.Root)
	}
	return k.certificates, nil
}

// logSubject names a log in findings.
func logSubject(tenant pki.TenantID) string {
	if tenant == pki.Platform {
		return "log of the platform"
	}
	return "log of tenant " + string(tenant)
}

// checkSigned reads the newest checkpoint.
func (k *logCheck) checkSigned() {
	if k.log.Checkpoint == "" {
		return
	}
	key, err := audit.ParseKey(k.log.Key)
	if err == nil {
		var signed audit.Checkpoint
		if signed, err = key.Open(k.log.Checkpoint); err == nil && signed.Size > k.log.Size {
			err = pki.Errorf(pki.Malformed, "it is of %d entries, and the log has %d", signed.Size, k.log.Size)
		}
		k.signed = &signed
	}
	if err != nil {
		k.report.addf(Logged, k.subject, "its newest checkpoint: %s", pki.DetailOf(err))
		k.signed = nil
	}
}

// page checks the entries of a tile.
func (k *logCheck) page(ctx context.Context) error {
	from := k.tree.Size()
	n := min(int64(audit.TileWidth), k.log.Size-from)
	leaves, err := k.store.Leaves(ctx, k.log.Tenant, from, int(n))
	if err != nil {
		return err
	}
	logged, err := k.logged(ctx, from, n)
	if err != nil {
		return err
	}
	for i := range n {
		var leaf audit.Leaf
		if i < int64(len(leaves)) && leaves[i] != nil {
			leaf = *leaves[i]
		}
		h, there := k.hasher.Hash(&leaf), len(leaf.Data()) > 0
		if !there {
			var archived tlog.Hash
			if archived, there, err = k.archived.hash(k.logs[k.log.Tenant], from+i); err != nil {
				return err
			}
			if there {
				h = archived
			}
		}
		if leaf.Event != nil || leaf.Revocation != nil { // also where it is not what was logged: its row is told below
			if err := k.acts.add(act{log: k.logs[k.log.Tenant], leaf: h, by: seenLeaf}.encode()); err != nil {
				return err
			}
		}
		passed := !there && k.unread.passed(k.log.Tenant, from+i)
		switch {
		case leaf.Certificate != nil, len(leaf.Data()) == 0 && there, passed:
			k.certificates++
		case leaf.Event != nil && leaf.Event.Action == retention.EventAction:
			k.checkManifest(leaf.Event)
		}
		switch {
		case logged == nil: // reported
		case passed:
		case !there:
			k.report.addf(Logged, k.subject, "what was logged at index %d is gone from the store, or damaged", from+i)
		case h != logged[i]:
			k.report.addf(Logged, k.subject, "what the store has for index %d is not what was logged%s", from+i, says(&leaf))
		}
		if logged != nil {
			h = logged[i]
		}
		k.tree.Append(h)
		k.report.LogEntries++
		if k.signed != nil && k.tree.Size() == k.signed.Size && k.tree.Root() != k.signed.Root {
			k.report.addf(Logged, k.subject, "its first %d entries are not those of its newest checkpoint", k.signed.Size)
		}
	}
	return nil
}

// says is what a leaf says that was made anew.
func says(l *audit.Leaf) string {
	switch {
	case l.Certificate != nil:
		return fmt.Sprintf(": certificate %s/%s", l.Certificate.Issuer, pki.Serial(l.Certificate.Serial))
	case l.Revocation != nil:
		r := l.Revocation
		return fmt.Sprintf(": entry %d about the status of certificate %s/%s (%s)", r.N, r.Issuer, pki.Serial(r.Serial), pki.Reason(r.Reason))
	case l.Event != nil:
		return fmt.Sprintf(": event %s, that %s did %s to %s", l.Event.ID, l.Event.Actor, l.Event.Action, l.Event.Target)
	}
	return ""
}

// logged returns the hashes of n leaves from a tile's first on, nil where the tile
// is not whole.
func (k *logCheck) logged(ctx context.Context, from, n int64) ([]tlog.Hash, error) {
	data, err := k.store.Tiles(ctx, k.log.Tenant, []tlog.Tile{{H: audit.TileHeight, N: from / audit.TileWidth, W: int(n)}})
	if err != nil && pki.KindOf(err) == pki.NotFound {
		k.report.addf(Logged, k.subject, "the hashes of its entries from index %d on are gone", from)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	hashes := make([]tlog.Hash, n)
	for i := range hashes {
		copy(hashes[i][:], data[0][i*tlog.HashSize:])
	}
	return hashes, nil
}
