package sqlstore

import (
	"context"
	"fmt"

	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
)

// Recover implements revocation.Store.
func (s *Store) Recover(ctx context.Context, r revocation.Recovery, e pki.Event) (taken int, err error) {
	info, err := s.shardOf(ctx, r.Issuer, r.Shard)
	if err != nil {
		return 0, err
	}
	err = s.update(ctx, func(t *tx) error {
		taken = 0
		run := leafRun{tenant: info.tenant, kind: leafRevocation}
		for i := range r.Entries {
			done, err := t.recover(&r.Entries[i], info, r.Ahead, &run)
			if err != nil {
				return err
			}
			if done {
				taken++
			}
		}
		if err := t.leaves(&run, e.At); err != nil {
			return err
		}
		if !r.Last {
			return t.event(e)
		}
		if _, err := t.exec(`UPDATE crl_shard SET number = CASE WHEN number < $1 THEN $1 ELSE number END, due = 0 WHERE issuer = $2 AND shard = $3`,
			r.Number, info.num, r.Shard); err != nil {
			return fmt.Errorf("raising a shard's number: %w", err)
		}
		return t.event(e)
	})
	return taken, err
}

// recover takes an entry over unless it is not missing. The certificate may be unknown.
func (t *tx) recover(lost *pki.Revocation, issuer issuerInfo, ahead bool, run *leafRun) (done bool, err error) {
	r := *lost
	r.Shard = r.Serial.Shard(issuer.shards)
	k, err := stateOf(context.Background(), t, issuer, r.Issuer, r.Serial)
	if err != nil || !revocation.Missing(k.latest, r.Reason, ahead) {
		return false, err
	}
	if k.issued || k.latest != nil {
		r.NotAfter = k.notAfter
	}
	if r.N, err = revocation.Next(k.latest, r.Reason); err != nil {
		return false, err
	}
	// Whose hold it was is not published: what is lent is for its lender to release.
	return true, t.revoke(&r, issuer.num, k.owner != 0 && k.owner != issuer.tenant, byNobody, run)
}
