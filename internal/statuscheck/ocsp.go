package statuscheck

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/pando-pki/pando/internal/alarm"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/tbs"
)

// checkOCSP asks an issuer's responder about a revoked certificate, a good one and
// one that was never issued, in one request with a nonce, so that no cache answers.
func (c *patrol) checkOCSP(ctx context.Context, issuer *pki.Issuer) error {
	parsed, err := tbs.ParseCertificate(issuer.Certificate)
	if err != nil {
		return err
	}
	samples, err := c.samples(ctx, issuer, parsed.NotBefore)
	if err != nil {
		return err
	}
	nonce := make([]byte, 32)
	rand.Read(nonce)
	var ids [][]byte
	for _, s := range samples {
		ids = append(ids, tbs.AppendCertID(nil, crypto.SHA256, parsed, s.serial))
	}
	answer, err := c.web.post(ctx, issuer.Mode, issuer.StatusURL+"/ocsp/"+string(issuer.ID), tbs.AppendOCSPRequest(nil, ids, nonce))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errUnreachable):
		c.fell(hostOf(issuer.ID, atOCSP))
		c.unreachable(issuer, atOCSP, err)
		return nil
	case err != nil:
		c.tellOCSP(issuer, "the responder answers with "+err.Error())
		return nil
	}
	delete(c.down, hostOf(issuer.ID, atOCSP))
	c.clearUnreachable(issuer, atOCSP)
	wrong := c.judge(parsed, answer, ids, nonce)
	if wrong == "" {
		response, _ := tbs.ParseOCSPResponse(answer) // judge read it
		if wrong, err = c.compare(ctx, issuer, samples, response.Singles); err != nil {
			return err
		}
	}
	c.tellOCSP(issuer, wrong)
	return nil
}

// A sample is a serial with the status that the store has for it. A young one need not be
// known yet: a responder may remember for a moment what the store said before.
type sample struct {
	serial pki.Serial
	status tbs.OCSPStatus
	young  bool
}

// samples returns a serial that was never issued and, where there are such, that of a
// certificate and of a revoked one, each from some moment since the issuer began.
func (c *patrol) samples(ctx context.Context, issuer *pki.Issuer, begun time.Time) ([]sample, error) {
	from := someSerials(begun, c.cfg.Now())
	shard := from[0].Shard(issuer.Shards)
	state, err := c.cfg.Store.Shard(ctx, issuer.ID, shard)
	if err != nil {
		return nil, err
	}
	issued, err := near(from, func(from pki.Serial) ([]pki.Serial, error) {
		s, err := c.cfg.Store.SampleSerial(ctx, issuer.ID, from)
		if err != nil && pki.KindOf(err) == pki.NotFound {
			return nil, nil
		}
		return []pki.Serial{s}, err
	})
	if err != nil {
		return nil, err
	}
	revoked, err := near(append(from, pki.Serial{}), func(from pki.Serial) (some []pki.Serial, err error) {
		got, err := c.cfg.Store.Revoked(ctx, issuer.ID, shard, state.Newest, c.cfg.Now(), revocation.Span{After: from}, 1)
		for _, r := range got {
			some = append(some, r.Serial)
		}
		return some, err
	})
	if err != nil {
		return nil, err
	}
	var samples []sample
	for _, serial := range slices.Concat([]pki.Serial{pki.NewSerial(pki.SerialRandom, c.cfg.Now())}, issued, revoked) {
		s, err := c.sample(ctx, issuer, serial)
		if err != nil {
			return nil, err
		}
		samples = append(samples, s)
	}
	return samples, nil
}

// someSerials returns a serial of each class, as of some moment between the two, in
// some order. Serials begin with their class and the time.
func someSerials(begun, now time.Time) []pki.Serial {
	moment := begun
	if span := now.Sub(begun); span > 0 {
		moment = begun.Add(mathrand.N(span))
	}
	var some []pki.Serial
	for _, class := range []pki.SerialClass{pki.SerialShort, pki.SerialLong, pki.SerialForever, pki.SerialRandom} {
		some = append(some, pki.NewSerial(class, moment))
	}
	mathrand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	return some
}

// near returns the first that next finds behind one of the serials and of its class, or
// the first of all; none where it finds none.
func near(from []pki.Serial, next func(from pki.Serial) ([]pki.Serial, error)) (found []pki.Serial, err error) {
	for _, from := range from {
		got, err := next(from)
		if err != nil {
			return nil, err
		}
		if len(got) > 0 && got[0][0] == from[0] {
			return got, nil
		}
		if found == nil {
			found = got
		}
	}
	return found, nil
}

func (c *patrol) sample(ctx context.Context, issuer *pki.Issuer, serial pki.Serial) (sample, error) {
	status, err := c.cfg.Store.Status(ctx, issuer.ID, serial)
	s := sample{serial: serial, status: tbs.OCSPGood}
	switch {
	case !status.Known:
		s.status = tbs.OCSPUnknown
	case status.Revocation != nil:
		s.status = tbs.OCSPRevoked
		s.young = !status.Revocation.At.Before(c.cfg.Now().Add(-behind))
	}
	return s, err
}

// judge returns what is wrong with an answer whatever its statuses are, or "".
func (c *patrol) judge(issuer *tbs.Parsed, answer []byte, ids [][]byte, nonce []byte) string {
	response, err := tbs.ParseOCSPResponse(answer)
	if err != nil {
		return pki.DetailOf(err)
	}
	if response.Error != 0 {
		return fmt.Sprintf("the responder answers with error status %d", response.Error)
	}
	now := c.cfg.Now()
	if _, err := response.Verify(issuer, now); err != nil {
		return pki.DetailOf(err)
	}
	if response.Nonce != nil && !bytes.Equal(response.Nonce, nonce) {
		return "the answer has another nonce than the request"
	}
	if len(response.Singles) != len(ids) {
		return fmt.Sprintf("%d statuses came for %d certificates", len(response.Singles), len(ids))
	}
	for n, single := range response.Singles {
		switch {
		case !bytes.Equal(single.ID, ids[n]):
			return "a status is of another certificate than the one that was asked about"
		case single.ThisUpdate.After(now) || !now.Before(single.NextUpdate):
			return fmt.Sprintf("the answer is for the time from %s to %s", single.ThisUpdate.UTC().Format(time.RFC3339), single.NextUpdate.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

// compare returns which status is not the store's. One that changes meanwhile, or is young,
// counts for nothing.
func (c *patrol) compare(ctx context.Context, issuer *pki.Issuer, samples []sample, singles []tbs.OCSPSingle) (string, error) {
	for n, before := range samples {
		after, err := c.sample(ctx, issuer, before.serial)
		if err != nil {
			return "", err
		}
		if got := singles[n].Status; after == before && !before.young && got != before.status {
			return fmt.Sprintf("the responder says that certificate %s is %s; the store has it as %s", before.serial, got, before.status), nil
		}
	}
	return "", nil
}

func (c *patrol) tellOCSP(issuer *pki.Issuer, wrong string) {
	key := alarm.Key{Tenant: issuer.Tenant, Name: "ocsp.wrong", Target: "issuer:" + string(issuer.ID)}
	if wrong == "" {
		c.clear(key)
		return
	}
	c.stats.Wrong.Add(1)
	if c.raise(issuer, alarm.Alarm{
		Key: key, Severity: alarm.Critical, What: wrong,
		Do: "See that " + issuer.StatusURL + "/ocsp/" + string(issuer.ID) + " leads to this deployment, and what the alarm ocsp.responder says. 'pando ocsp query' asks again.",
	}) {
		c.cfg.Log.Error("status", "alarm", "ocsp.wrong", "issuer", issuer.ID, "what", wrong)
	}
}
