package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/tbs"
)

const lotSize = 1_000_000

// The batches of a lot that is revoked, of batchRows each.
func (b *bench) lotBatches() int {
	if b.cfg.Quick || b.length < time.Second {
		return 1
	}
	return lotSize / batchRows
}

// revokeLots measures row 8: how long it takes to revoke all of a lot, from the order to
// the CRLs that list it and OCSP that says so, against how long its batches took.
func (b *bench) revokeLots(ctx context.Context) error {
	if err := b.startServer(ctx); err != nil {
		return err
	}
	n := b.lotBatches() * b.batchRows()
	b.report.sizes[8] = n
	rounds := b.rounds
	if b.lotBatches() > 1 {
		rounds = 1
	}
	for round := range rounds {
		name := fmt.Sprintf("revoked-%d", round)
		issued, last, err := b.issueLot(ctx, name)
		if err != nil {
			return err
		}
		if err := b.settled(ctx, last.issuer, patience); err != nil { // of revocations of other rows
			return err
		}
		before, err := b.listed(ctx, last.issuer)
		if err != nil {
			return err
		}
		revoked, job, err := b.revokeLot(ctx, name, last, before+n)
		if err != nil {
			return err
		}
		b.report.add(revokeLot, issued.took.Seconds()/revoked.took.Seconds())
		b.tell("lot: %d certificates issued by batch in %.2f s, %.1f µs of CPU each; revoked in %.2f s, of which the job %.2f s, %.1f µs of CPU each, with the CRLs; %.1f × faster",
			n, issued.took.Seconds(), issued.cpu, revoked.took.Seconds(), job.Seconds(), revoked.cpu, issued.took.Seconds()/revoked.took.Seconds())
	}
	return nil
}

// issueLot issues the batches of a lot, one after the other, and returns what they
// took together, and the last certificate.
func (b *bench) issueLot(ctx context.Context, name string) (all result, last issued, err error) {
	for range b.lotBatches() {
		file, err := b.newDevices(ctx, b.batchRows())
		if err != nil {
			return all, last, err
		}
		r, batch, err := b.runBatch(ctx, name, endpoint, file, b.batchRows())
		if err != nil {
			return all, last, err
		}
		all.took += r.took
		all.cpu += r.cpu / float64(b.lotBatches())
		for row, err := range b.api.Results(ctx, batch, int64(b.batchRows()-1)) {
			if err != nil {
				return all, last, err
			}
			last = issued{row.Issuer, row.Serial}
		}
	}
	if last.serial == "" {
		return all, last, errors.New("the batch has no last certificate")
	}
	return all, last, nil
}

// revokeLot revokes a lot and waits until its issuer's CRLs have so many entries and
// OCSP says that the last certificate is revoked. It returns what that took, and the job
// alone.
func (b *bench) revokeLot(ctx context.Context, name string, last issued, entries int) (all result, job time.Duration, err error) {
	before, err := b.server.cpu()
	if err != nil {
		return all, 0, err
	}
	begun := time.Now()
	j, err := b.api.StartRevocation(ctx, client.NewRevocationJob{RevocationSelection: client.RevocationSelection{Lot: name}, Reason: "superseded"}, "")
	if err != nil {
		return all, 0, err
	}
	for state, err := range b.api.WatchRevocation(ctx, j.ID) {
		if err != nil {
			return all, 0, err
		}
		j = state
	}
	if job = time.Since(begun); j.State != client.Done {
		return all, 0, fmt.Errorf("the revocation job is %s", j.State)
	}
	if err := b.settled(ctx, last.issuer, patience); err != nil {
		return all, 0, err
	}
	if err := b.seenRevoked(ctx, last); err != nil {
		return all, 0, err
	}
	all.took = time.Since(begun)
	after, err := b.server.cpu()
	if err != nil {
		return all, 0, err
	}
	all.cpu = float64((after - before).Microseconds()) / float64(j.Good)
	if have, err := b.listed(ctx, last.issuer); err != nil || have != entries {
		return all, 0, errors.Join(err, fmt.Errorf("the CRLs have %d entries of %d", have, entries))
	}
	return all, job, nil
}

// settled waits until an issuer's CRLs have all its entries.
func (b *bench) settled(ctx context.Context, issuer string, most time.Duration) error {
	for begun := time.Now(); ; {
		crls, err := b.api.CRLs(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(crls, func(c client.CRL) bool { return c.Issuer == issuer && c.Pending }) {
			return nil
		}
		if time.Since(begun) > most {
			return errors.New("the CRLs lag behind the entries")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookAgain):
		}
	}
}

// listed returns how many entries an issuer's CRLs have, as relying parties fetch them.
func (b *bench) listed(ctx context.Context, issuer string) (entries int, err error) {
	crls, err := b.api.CRLs(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range crls {
		if c.Issuer != issuer {
			continue
		}
		body, err := fetch(ctx, http.MethodGet, c.URL, nil)
		if err != nil {
			return 0, err
		}
		list, err := tbs.ParseCRL(body)
		if err != nil {
			return 0, err
		}
		for _, err := range list.Entries() {
			if err != nil {
				return 0, err
			}
			entries++
		}
	}
	return entries, nil
}

// seenRevoked asks OCSP about a certificate, which is to be revoked.
func (b *bench) seenRevoked(ctx context.Context, c issued) error {
	id, err := b.certID(c)
	if err != nil {
		return err
	}
	body, err := fetch(ctx, http.MethodPost, b.file.Authorities["manufacturing"].OCSP, tbs.AppendOCSPRequest(nil, [][]byte{id}, nil))
	if err != nil {
		return err
	}
	answer, err := tbs.ParseOCSPResponse(body)
	if err != nil {
		return err
	}
	if len(answer.Singles) != 1 || answer.Singles[0].Status != tbs.OCSPRevoked {
		return errors.New("OCSP does not say that the last certificate is revoked")
	}
	return nil
}

// fetch asks as relying parties do.
func fetch(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/ocsp-request")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return io.ReadAll(answer.Body)
}
