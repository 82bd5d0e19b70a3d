package revocation

import (
	"context"
	"fmt"
	"strconv"

	"github.com/pando-pki/pando/internal/pki"
)

// A shardKey names one CRL shard.
type shardKey struct {
	issuer pki.IssuerID
	shard  int
}

func (k shardKey) String() string { return fmt.Sprintf("%s/%d", k.issuer, k.shard) }

// CRL returns the latest CRL of a shard, or NotFound. It is shared between
// requests that come at the same time: nobody changes it.
func (s *Service) CRL(ctx context.Context, issuer pki.IssuerID, shard int) (*CRL, error) {
	// One reader going away must not fail the others; the store bounds its reads.
	read := func() (any, error) { return s.cfg.Store.CRL(context.WithoutCancel(ctx), issuer, shard) }
	got, err, _ := s.crls.Do(shardKey{issuer, shard}.String(), read)
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
