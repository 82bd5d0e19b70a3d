package enroll

import (
	"bytes"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// requests are those of a change as they came, where those that are shown have their
// challenges blanked (approval.Shown): whoever decides is not to enrol by them, and who has
// the database neither. The signatures in what is shown are over the challenges: no others
// execute.
type requests struct {
	CSR  []byte `json:"csr"` // sealed, as is the other
	Pair []byte `json:"pair,omitempty"`
}

// A Sealer seals requests with their challenges, for the store; soft.KEK is one.
type Sealer interface {
	Seal(label string, plain []byte) []byte
	Unseal(label string, sealed []byte) ([]byte, error)
}

// sealedFor is the label of what a tenant's changes withhold.
func sealedFor(tenant pki.TenantID) string { return "withheld\n" + string(tenant) }

// withhold blanks the challenges of what is shown, and keeps the requests sealed beside it
// where they have any.
func (s *Service) withhold(tenant pki.TenantID, ch *enrollChange) {
	csr := ch.CSR
	ch.CSR = tbs.BlankChallenge(csr)
	blanked := !bytes.Equal(ch.CSR, csr)
	var pair []byte
	if ch.Pair != nil {
		pair = ch.Pair.CSR
		ch.Pair.CSR = tbs.BlankChallenge(pair)
		blanked = blanked || !bytes.Equal(ch.Pair.CSR, pair)
	}
	if !blanked {
		return
	}
	ch.Withheld = &requests{CSR: s.cfg.Sealer.Seal(sealedFor(tenant), csr)}
	if pair != nil {
		ch.Withheld.Pair = s.cfg.Sealer.Seal(sealedFor(tenant), pair)
	}
}

// restore puts the requests as they came where those that are shown are.
func (s *Service) restore(tenant pki.TenantID, q *requests, r *Request) (err error) {
	if q == nil {
		return nil
	}
	if r.CSR, err = s.cfg.Sealer.Unseal(sealedFor(tenant), q.CSR); err == nil && r.Pair != nil {
		r.Pair.CSR, err = s.cfg.Sealer.Unseal(sealedFor(tenant), q.Pair)
	}
	return err
}
