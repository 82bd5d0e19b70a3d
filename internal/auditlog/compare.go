package auditlog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/audit"
	"github.com/pando-pki/pando/internal/pki"
)

// compare holds the store against every anchor that can be read: a store that is
// older than its anchor, or another, must not go on as if nothing had happened. One
// anchor that does not answer now does not keep a server down; all of them do.
func (s *Service) compare(ctx context.Context) error {
	logs, err := s.cfg.Store.Logs(ctx)
	if err != nil {
		return err
	}
	byOrigin := make(map[string]*Log)
	var origins []string
	for _, l := range logs {
		origin := audit.Origin(s.deployment, l.Tenant)
		byOrigin[origin] = l
		origins = append(origins, origin)
	}
	var unread error
	read, found := 0, 0
	for _, a := range s.cfg.Anchors {
		r, ok := a.(Reader)
		if !ok {
			continue
		}
		notes, err := r.Newest(ctx, s.deployment, origins)
		if err != nil {
			unread = pki.Because(pki.Unavailable, err, "the anchor %s cannot be read, and the log be compared with no other: make it readable, or take it out of audit.anchors in pando.yaml", a.Name())
			s.cfg.Log.WarnContext(ctx, "an anchor cannot be read, and the log was not compared with it", "anchor", a.Name(), "error", err)
			continue
		}
		read++
		for _, note := range notes {
			found++
			if err := s.compareOne(ctx, byOrigin, note); err != nil {
				return fmt.Errorf("the anchor %s: %w", a.Name(), err)
			}
		}
	}
	if read == 0 && unread != nil {
		return unread
	}
	if read > 0 && found == 0 && slices.ContainsFunc(logs, func(l *Log) bool { return l.AnchoredSize > 0 }) {
		s.cfg.Log.WarnContext(ctx, "checkpoints of the log were handed to anchors, and those that can be read have none: is a volume not mounted, or was what they had moved away?")
	}
	return nil
}

// whatToDo ends what is said of a store that does not agree with an anchor.
const whatToDo = "Start with the newest copy of the database. Where that is lost, what was issued and revoked since this copy is missing from it: docs/operator/audit.md says how to go on knowingly"

// compareOne checks that a store has the tree of a checkpoint. It returns
// Unavailable where it has not.
func (s *Service) compareOne(ctx context.Context, byOrigin map[string]*Log, note string) error {
	origin, _, _ := strings.Cut(note, "\n")
	l := byOrigin[origin]
	if l == nil && !strings.HasPrefix(origin, "pando/"+s.deployment+"/") {
		return pki.Errorf(pki.Unavailable, "it has checkpoints of %.120q, another deployment than this one, %s. Either the database was replaced, or two deployments share an anchor: give each its own", origin, s.deployment)
	}
	if l == nil {
		return pki.Errorf(pki.Unavailable, "the database is older than it: it has a checkpoint of the log %s, which the database does not know. %s", origin, whatToDo)
	}
	key, err := audit.ParseKey(l.Key)
	if err != nil {
		return err
	}
	c, err := key.Open(note)
	if err != nil {
		return pki.Because(pki.Unavailable, err, "its checkpoint of the log %s is not signed by the key that the database has for it: the database, or the anchor, is another. %s", origin, whatToDo)
	}
	if c.Size > l.Size {
		return pki.Errorf(pki.Unavailable, "the database is older than it: the log %s has %d entries, and its checkpoint of %s has %d. %s",
			origin, l.Size, c.Time.Format(time.RFC3339), c.Size, whatToDo)
	}
	root, err := audit.RootAt(c.Size, s.reader(ctx, l.Tenant, l.Size, l.Root))
	if err != nil || root != c.Root {
		return pki.Because(pki.Unavailable, err, "the log %s is not the one of its checkpoint of %s with %d entries: entries were changed. 'pando check' says where. %s",
			origin, c.Time.Format(time.RFC3339), c.Size, whatToDo)
	}
	return nil
}
