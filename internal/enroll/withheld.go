package enroll

import (
	"bytes"

	"github.com/pando-pki/pando/internal/tbs"
)

// requests are those of a change as they came, where those that are shown have their
// challenges blanked (approval.Shown): whoever decides is not to enrol by them. The
// signatures in what is shown are over the challenges: no others execute.
type requests struct {
	CSR  []byte `json:"csr"`
	Pair []byte `json:"pair,omitempty"`
}

// withhold blanks the challenges of what is shown, and keeps the requests beside it where
// they have any.
func (ch *enrollChange) withhold() {
	came := requests{CSR: ch.CSR}
	ch.CSR = tbs.BlankChallenge(came.CSR)
	blanked := !bytes.Equal(ch.CSR, came.CSR)
	if ch.Pair != nil {
		came.Pair = ch.Pair.CSR
		ch.Pair.CSR = tbs.BlankChallenge(came.Pair)
		blanked = blanked || !bytes.Equal(ch.Pair.CSR, came.Pair)
	}
	if blanked {
		ch.Withheld = &came
	}
}

// restore puts the requests as they came where those that are shown are.
func (q *requests) restore(r *Request) {
	if q == nil {
		return
	}
	if r.CSR = q.CSR; r.Pair != nil {
		r.Pair.CSR = q.Pair
	}
}
