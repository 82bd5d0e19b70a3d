package revocation

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// A shardKey names one CRL shard.
type shardKey struct {
	issuer pki.IssuerID
	shard  int
}

func (k shardKey) String() string { return fmt.Sprintf("%s/%d", k.issuer, k.shard) }

// readDeadline ends a read of a CRL from the store.
const readDeadline = 30 * time.Second

// CRL returns the latest CRL of a shard with its Hash, or NotFound. Everybody who
// asks for the same one gets the same memory: nobody changes it. The store is
// asked for its number alone where it is in memory already.
//
// Who works on the DER for long, as for a slow client, holds on to the CRL itself
// until then (runtime.KeepAlive): by the CRL others find that memory.
func (s *Service) CRL(ctx context.Context, issuer pki.IssuerID, shard int) (*CRL, error) {
	number, err := s.cfg.Store.CRLNumber(ctx, issuer, shard)
	if err != nil {
		return nil, err
	}
	key := shardKey{issuer, shard}
	if c := s.crls.get(key, number); c != nil {
		return c, nil
	}
	got, err, _ := s.reads.Do(fmt.Sprint(key, number), func() (any, error) {
		if c := s.crls.get(key, number); c != nil { // read a moment ago
			return c, nil
		}
		// Whoever asked first may go away while others wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readDeadline)
		defer cancel()
		c, err := s.cfg.Store.CRL(ctx, issuer, shard)
		if err != nil {
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

// crlURL returns where a shard's CRL is served, as its certificates' CRL
// distribution points say: "{StatusURL}/crl/{ID}/{shard}.crl".
func crlURL(issuer *pki.Issuer, shard int) string {
	return issuer.StatusURL + "/crl/" + string(issuer.ID) + "/" + strconv.Itoa(shard) + ".crl"
}
