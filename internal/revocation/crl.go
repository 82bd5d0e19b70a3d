package revocation

import (
	"context"
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

// CRL returns the latest CRL of a shard, or NotFound. It is shared between
// requests that come at the same time, which so hold it in memory once: nobody
// changes it.
func (s *Service) CRL(ctx context.Context, issuer pki.IssuerID, shard int) (*CRL, error) {
	got, err, _ := s.crls.Do(shardKey{issuer, shard}.String(), func() (any, error) {
		// Whoever asked first may go away while others wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readDeadline)
		defer cancel()
		return s.cfg.Store.CRL(ctx, issuer, shard)
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
