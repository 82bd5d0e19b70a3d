package revocation

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/pki"
)

// A ListState is what an operator sees of a list.
type ListState struct {
	List
	Edition        // the latest CRL; its number is 0 where there is none yet
	URL     string // where it is served; "" where the issuer has no status URL
	Pending bool   // there are entries that are not in it
}

// Lists returns up to limit lists of the issuers within the permit, beginning after cursor,
// and the next cursor, "" at the end: access.ReadConfiguration. An issuer whose
// certificate ended is left out. A cursor that the list did not give, or whose issuer is
// no more in it, is Malformed: the list would seem to be at its end.
func (s *Service) Lists(ctx context.Context, g access.Permit, cursor string, limit int) (lists []ListState, next string, err error) {
	if err := g.CheckSome(access.ReadConfiguration); err != nil {
		return nil, "", err
	}
	from, shard, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	issuers, err := s.issuersWithin(ctx, g)
	if err != nil {
		return nil, "", err
	}
	skipping := from != ""
	for _, issuer := range issuers {
		first := 0
		if skipping {
			if issuer.ID != from || shard >= issuer.Shards {
				continue
			}
			skipping, first = false, shard+1
		}
		for n := first; n < issuer.Shards; n++ {
			if len(lists) >= limit {
				return lists, lists[len(lists)-1].List.cursor(), nil
			}
			state, err := s.cfg.Store.Shard(ctx, issuer.ID, n)
			if err != nil {
				return nil, "", err
			}
			lists = append(lists, s.listStates(issuer, &state)...)
		}
	}
	if skipping {
		return nil, "", foreignCursor(cursor)
	}
	return lists, "", nil
}

func foreignCursor(cursor string) error {
	return pki.Errorf(pki.Malformed, "the cursor %.60q is not one that this list gave: take the next of the page before, or begin anew without one", cursor)
}

func (s *Service) listStates(issuer *pki.Issuer, state *ShardState) []ListState {
	url := func(l List) string {
		if issuer.StatusURL == "" {
			return ""
		}
		return issuer.StatusURL + "/" + l.Path()
	}
	full := List{Issuer: issuer.ID, Shard: state.Shard}
	states := []ListState{{List: full, Edition: state.Edition, URL: url(full), Pending: !issuer.Deltas && state.Newest > state.Covers}}
	if issuer.Deltas {
		delta := List{Issuer: issuer.ID, Shard: state.Shard, Delta: true}
		states = append(states, ListState{List: delta, Edition: state.Delta, URL: url(delta), Pending: state.Newest > state.Delta.Covers})
	}
	return states
}

// cursor names the shard of a list.
func (l List) cursor() string { return string(l.Issuer) + "/" + strconv.Itoa(l.Shard) }

func parseCursor(cursor string) (pki.IssuerID, int, error) {
	if cursor == "" {
		return "", 0, nil
	}
	issuer, shard, _ := strings.Cut(cursor, "/")
	n, err := strconv.Atoi(shard)
	if err != nil || n < 0 || issuer == "" {
		return "", 0, foreignCursor(cursor)
	}
	return pki.IssuerID(issuer), n, nil
}

// issuersWithin returns the issuers of authorities within a permit whose certificates
// have not ended.
func (s *Service) issuersWithin(ctx context.Context, g access.Permit) ([]*pki.Issuer, error) {
	all, err := s.cfg.Issuers.AllIssuers(ctx)
	if err != nil {
		return nil, err
	}
	var own []*pki.Issuer
	for _, i := range all {
		if i.Tenant != g.Tenant() || s.cfg.Now().After(i.NotAfter) {
			continue
		}
		where := access.Scope{}
		if !g.Whole() {
			if where.Authority, err = s.cfg.Store.AuthorityName(ctx, i.Tenant, i.Authority); err != nil {
				return nil, err
			}
		}
		if g.Covers(where) {
			own = append(own, i)
		}
	}
	return own, nil
}

// A ResponderState is what an operator sees of an issuer's OCSP responder.
type ResponderState struct {
	Issuer      pki.IssuerID
	URL         string
	Certificate []byte // DER; nil where there is none
	Serial      pki.Serial
	NotBefore   time.Time
	NotAfter    time.Time
	Problem     error // why there is none
}

// OCSPResponders returns the responder of each online issuer within the permit:
// access.ReadConfiguration.
func (s *Service) OCSPResponders(ctx context.Context, g access.Permit) ([]ResponderState, error) {
	if err := g.CheckSome(access.ReadConfiguration); err != nil {
		return nil, err
	}
	issuers, err := s.issuersWithin(ctx, g)
	if err != nil {
		return nil, err
	}
	var states []ResponderState
	for _, issuer := range issuers {
		if issuer.Key == pki.OfflineKey {
			continue
		}
		id, err := s.identities.of(issuer)
		if err != nil {
			return nil, err
		}
		state := ResponderState{Issuer: issuer.ID, URL: issuer.StatusURL + "/ocsp/" + string(issuer.ID)}
		r, err := s.responders.get(ctx, id, s.revoked.Load())
		if state.Problem = err; err == nil {
			state.Certificate, state.Serial, state.NotBefore, state.NotAfter = r.certificate, r.serial, r.notBefore, r.notAfter
		}
		states = append(states, state)
	}
	return states, nil
}
