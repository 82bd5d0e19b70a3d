package revocation

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A List names one of an issuer's lists: the CRLs that follow each other for one
// shard.
type List struct {
	Issuer pki.IssuerID
	Shard  int
	Delta  bool // the delta CRLs, not the full ones
}

// String returns the issuer, the shard, and whether it is the delta.
func (l List) String() string {
	name := string(l.Issuer) + "/" + strconv.Itoa(l.Shard)
	if l.Delta {
		name += "-delta"
	}
	return name
}

// Path returns where the list is served below the status URL of its issuer.
func (l List) Path() string { return "crl/" + l.String() + ".crl" }

// ObjectPath returns where one CRL of the list is published beside the latest.
func (l List) ObjectPath(number int64) string {
	return "crl/" + l.String() + "/" + strconv.FormatInt(number, 10) + ".crl"
}

// readDeadline ends a read of a CRL from the store.
const readDeadline = 30 * time.Second

// CRL returns the latest CRL of a shard with its Hash, or NotFound. Everybody who
// asks for the same one gets the same memory: nobody changes it. The store is
// asked for its number alone where it is in memory already. One that is not as it
// was signed is given to nobody: that is Unavailable, and a new one is made.
//
// Who works on the DER for long, as for a slow client, holds on to the CRL itself
// until then (runtime.KeepAlive): by the CRL others find that memory.
func (s *Service) CRL(ctx context.Context, list List) (*CRL, error) {
	number, err := s.cfg.Store.CRLNumber(ctx, list)
	if err != nil {
		return nil, err
	}
	if c := s.crls.get(list, number); c != nil {
		return c, nil
	}
	got, err, _ := s.reads.Do(fmt.Sprint(list, number), func() (any, error) {
		if c := s.crls.get(list, number); c != nil { // read a moment ago
			return c, nil
		}
		// Whoever asked first may go away while others wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readDeadline)
		defer cancel()
		c, err := s.cfg.Store.CRL(ctx, list)
		if err != nil {
			return nil, err
		}
		if err := s.checkStored(ctx, c); err != nil {
			return nil, err
		}
		c.Hash = sha256.Sum256(c.DER)
		return s.crls.add(c), nil
	})
	if err != nil {
		return nil, err
	}
	return got.(*CRL), nil
}

// Verify checks that a DER CRL is one of the list: the issuer signed it, and for
// the scope that the list has. Malformed or BadProof; NotFound where there is no
// such issuer.
func (s *Service) Verify(ctx context.Context, list List, crl []byte) (*tbs.ParsedCRL, error) {
	id, err := s.identities.get(ctx, list.Issuer)
	if err != nil {
		return nil, err
	}
	c, err := tbs.ParseCRL(crl)
	if err != nil {
		return nil, err
	}
	if err := c.CheckSignedBy(id.certificate); err != nil {
		return nil, err
	}
	if delta := c.Base != 0; delta != list.Delta {
		return nil, pki.Errorf(pki.Malformed, "a delta CRL and a full one do not stand for each other")
	}
	if want := scopeURL(id.issuer, list.Shard); c.URL != want {
		return nil, pki.Errorf(pki.Malformed, "the CRL is for %q, not for %q", c.URL, want)
	}
	return c, nil
}

// scopeURL returns the URL in the IssuingDistributionPoint of a shard's CRLs, ""
// for none: a ceremony's list is full, and says no scope.
func scopeURL(issuer *pki.Issuer, shard int) string {
	if issuer.StatusURL == "" || issuer.Key == pki.OfflineKey && issuer.Shards == 1 {
		return ""
	}
	return crlURL(issuer, shard)
}

// crlURL returns where a shard's CRL is served, as its certificates' CRL
// distribution points say: "{StatusURL}/crl/{ID}/{shard}.crl".
func crlURL(issuer *pki.Issuer, shard int) string {
	return issuer.StatusURL + "/" + List{Issuer: issuer.ID, Shard: shard}.Path()
}

// Latest calls f with each list that has a CRL, full and delta, and the number of its
// latest, of all issuers.
func (s *Service) Latest(ctx context.Context, f func(list List, number int64)) error {
	issuers, err := s.cfg.Issuers.AllIssuers(ctx)
	if err != nil {
		return fmt.Errorf("issuers: %w", err)
	}
	for _, issuer := range issuers {
		shards, err := s.cfg.Store.Shards(ctx, issuer.ID)
		if err != nil {
			return fmt.Errorf("shards of issuer %s: %w", issuer.ID, err)
		}
		for _, state := range shards {
			if state.Number > 0 {
				f(List{Issuer: issuer.ID, Shard: state.Shard}, state.Number)
			}
			if state.Delta.Number > 0 {
				f(List{Issuer: issuer.ID, Shard: state.Shard, Delta: true}, state.Delta.Number)
			}
		}
	}
	return nil
}
