package check

import (
	"cmp"
	"slices"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/retention"
)

// The unread are the archives that could not be read. What would be found because of
// that alone is not a finding of its own: what of their certificates is missed elsewhere
// is passed over, up to as many as there are.
type unread struct {
	archives     []retention.ID // of which only the place is at fault
	why          string         // of the first of them
	certificates int64          // in these and in those that are damaged
	missing      int64          // places of intents that have neither a certificate nor a void
	ranges       map[pki.TenantID]*unreadRanges
}

// unreadRanges are where the leaves of one log's unread certificates are.
type unreadRanges struct {
	left int64 // certificates that no leaf was missed of yet
	all  []retention.Manifest
}

// passOver notes an archive that cannot be read, with what the store keeps of its
// certificates: no serial number and no row of a batch is used twice all the same.
func (c *checker) passOver(a *retention.Archive, stubs []Stub) error {
	u := &c.unread
	u.certificates += int64(len(stubs))
	if u.ranges == nil {
		u.ranges = make(map[pki.TenantID]*unreadRanges)
	}
	r := u.ranges[a.Tenant]
	if r == nil {
		r = new(unreadRanges)
		u.ranges[a.Tenant] = r
	}
	r.left += int64(len(stubs))
	r.all = append(r.all, a.Manifest)
	for i := range stubs {
		s := &stubs[i]
		if known := c.issuers[s.Issuer]; known != nil {
			if err := c.serials.add(serialUse{issuer: known.number, serial: s.Serial}.encode()); err != nil {
				return err
			}
		}
		if s.Batch != "" {
			if err := c.rows.add(row{c.batchNumber(s.Batch), s.Row}.encode()); err != nil {
				return err
			}
		}
	}
	return nil
}

// unreachable notes an archive whose place does not give it.
func (c *checker) unreachable(a *retention.Archive, why string) {
	c.unread.archives = append(c.unread.archives, a.ID)
	c.unread.why = cmp.Or(c.unread.why, why)
}

// tellUnread makes one finding of all archives that are not to be had.
func (c *checker) tellUnread() {
	u := &c.unread
	for _, r := range u.ranges {
		slices.SortFunc(r.all, func(a, b retention.Manifest) int { return cmp.Compare(a.FirstIndex, b.FirstIndex) })
	}
	c.report.Unread = u.certificates
	if len(u.archives) == 0 {
		return
	}
	c.report.addf(Archived, "archives", "%d of %d cannot be read, archive %s among them: %s. Of the certificates in them it is checked that no serial number and no row of a batch is used twice, and not their bytes, intents, entries in logs, nor whether clients have the same",
		len(u.archives), c.report.Archives, u.archives[0], u.why)
}

// passed reports whether what a log misses at an index, which go up, is one of the
// certificates in archives that could not be read.
func (u *unread) passed(tenant pki.TenantID, index int64) bool {
	r := u.ranges[tenant]
	if r == nil || r.left == 0 {
		return false
	}
	for len(r.all) > 0 && r.all[0].LastIndex < index {
		r.all = r.all[1:]
	}
	for _, m := range r.all {
		if m.FirstIndex > index {
			break
		}
		if index <= m.LastIndex {
			r.left--
			return true
		}
	}
	return false
}

// checkMissing reports places of intents that are missing though archives could not be
// read.
func (c *checker) checkMissing() {
	if u := &c.unread; u.missing > u.certificates {
		c.report.addf(IntentComplete, "intents", "%d places have neither a certificate nor a void, and %d certificates are in archives that could not be read: see to these, and check again", u.missing, u.certificates)
	}
}

// placeAtFault reports whether an archive was not read because of its place: no object
// came, be it right or wrong.
func placeAtFault(err error) bool {
	switch pki.KindOf(err) {
	case pki.NotFound, pki.Unavailable, pki.Forbidden, pki.Unauthenticated, pki.RateLimited:
		return true
	}
	return false
}
