package bench

import (
	"context"
	"net/http"
	"slices"

	"github.com/pando-pki/pando/client"
)

// revokeSingles measures row 7.
func (b *bench) revokeSingles(ctx context.Context) error {
	if err := b.startServer(ctx); err != nil {
		return err
	}
	dial, host, err := b.people()
	if err != nil {
		return err
	}
	rate := 500.0 // a guess, which the first load corrects
	for round := range b.rounds + 1 {
		certificates, err := b.issueSome(ctx, max(clients, int(rate*b.length.Seconds())))
		if err != nil {
			return err
		}
		var requests [][]byte
		for _, c := range certificates {
			r, err := b.post(host, "/certificates/"+c.issuer+"/"+c.serial+"/revoke", nil, client.Revocation{Reason: "superseded"})
			if err != nil {
				return err
			}
			requests = append(requests, r)
		}
		l := &load{clients: clients, dial: dial, status: http.StatusOK, requests: slices.Values(requests)}
		r, limit, err := b.measureBesideLimit(ctx, l, 0)
		if err != nil {
			return err
		}
		rate = r.rate
		if round == 0 {
			continue
		}
		b.report.add(revokeOne, r.cpu/limit.cpu)
		b.tell("revoke: %d certificates, %.1f µs of CPU each, %.0f a second, p99 %v; %.2f × Limit",
			r.requests, r.cpu, r.rate, r.percentile(0.99), r.cpu/limit.cpu)
	}
	return nil
}
