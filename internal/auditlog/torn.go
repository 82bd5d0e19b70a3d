package auditlog

import (
	"context"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
)

// A tear is where hashes of a log are gone, or are not those of its tree. Sequencing does
// not see it where the tree does not grow: whoever reads proofs or an export does.
type tear struct {
	size    int64
	root    tlog.Hash
	indexes []int64
}

// A mindful reader remembers a tear that it comes upon.
type mindful struct {
	tlog.HashReader
	s      *Service
	tiles  *tileReader
	tenant pki.TenantID
	size   int64
	root   tlog.Hash
}

// ReadHashes implements tlog.HashReader.
func (m *mindful) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes, err := m.HashReader.ReadHashes(indexes)
	if err == nil || m.tiles.failed {
		return hashes, err
	}
	m.s.tearing.Lock()
	defer m.s.tearing.Unlock()
	m.s.torn[m.tenant] = tear{m.size, m.root, indexes}
	return nil, pki.Because(pki.Unavailable, err, "hashes of the audit log are gone or changed: 'pando check' says where")
}

// tears returns the alarms for logs that are torn. It looks at each tear again, and forgets
// what is mended.
func (s *Service) tears(ctx context.Context) (wrong []alarm.Alarm) {
	s.tearing.Lock()
	torn := make(map[pki.TenantID]tear, len(s.torn))
	for tenant, t := range s.torn {
		torn[tenant] = t
		delete(s.torn, tenant)
	}
	s.tearing.Unlock()
	for tenant, t := range torn {
		reader := s.reader(ctx, tenant, t.size, t.root)
		_, err := reader.ReadHashes(t.indexes)
		if err == nil {
			continue
		}
		if reader.tiles.failed { // the store does not answer: nothing is known to be mended
			s.tearing.Lock()
			s.torn[tenant] = t
			s.tearing.Unlock()
		}
		wrong = append(wrong, alarm.Alarm{Key: damagedKey(tenant), Severity: alarm.Critical,
			What: "hashes of the audit log are gone or changed: exports of it and proofs from it fail", Do: whatOfDamage})
	}
	return wrong
}
