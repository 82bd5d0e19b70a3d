package statuscheck

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
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
	samples, err := c.samples(ctx, issuer)
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
		c.unreachable(issuer, atOCSP, err)
		return nil
	case err != nil:
		c.tellOCSP(issuer, "the responder answers with "+err.Error())
		return nil
	}
	c.reached(issuer, atOCSP)
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

// A sample is a serial with the status that the store has for it.
type sample struct {
	serial pki.Serial
	status tbs.OCSPStatus
}

func (c *patrol) samples(ctx context.Context, issuer *pki.Issuer) ([]sample, error) {
	from := randomSerial()
	serials := []pki.Serial{pki.NewSerial(pki.SerialRandom, c.cfg.Now())} // never issued
	if s, err := c.cfg.Store.SampleSerial(ctx, issuer.ID, from); err == nil {
		serials = append(serials, s)
	} else if pki.KindOf(err) != pki.NotFound {
		return nil, err
	}
	shard := from.Shard(issuer.Shards)
	state, err := c.cfg.Store.Shard(ctx, issuer.ID, shard)
	if err != nil {
		return nil, err
	}
	for _, after := range []pki.Serial{from, {}} {
		revoked, err := c.cfg.Store.Revoked(ctx, issuer.ID, shard, state.Newest, c.cfg.Now(), revocation.Span{After: after}, 1)
		if err != nil {
			return nil, err
		}
		if len(revoked) > 0 {
			serials = append(serials, revoked[0].Serial)
			break
		}
	}
	samples := make([]sample, len(serials))
	for n, serial := range serials {
		if samples[n], err = c.sample(ctx, issuer, serial); err != nil {
			return nil, err
		}
	}
	return samples, nil
}

func (c *patrol) sample(ctx context.Context, issuer *pki.Issuer, serial pki.Serial) (sample, error) {
	status, err := c.cfg.Store.Status(ctx, issuer.ID, serial)
	s := sample{serial: serial, status: tbs.OCSPGood}
	switch {
	case !status.Known:
		s.status = tbs.OCSPUnknown
	case status.Revocation != nil:
		s.status = tbs.OCSPRevoked
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

// compare returns which status is not the store's. One that changes meanwhile counts
// for nothing.
func (c *patrol) compare(ctx context.Context, issuer *pki.Issuer, samples []sample, singles []tbs.OCSPSingle) (string, error) {
	for n, before := range samples {
		after, err := c.sample(ctx, issuer, before.serial)
		if err != nil {
			return "", err
		}
		if got := singles[n].Status; after == before && got != before.status {
			return fmt.Sprintf("the responder says that certificate %s is %s; the store has it as %s", before.serial, got, before.status), nil
		}
	}
	return "", nil
}

func (c *patrol) tellOCSP(issuer *pki.Issuer, wrong string) {
	key := alarm.Key{Tenant: issuer.Tenant, Name: "ocsp.wrong", Target: "issuer:" + string(issuer.ID)}
	if wrong == "" {
		c.cfg.Alarms.Clear(key)
		return
	}
	c.stats.Wrong.Add(1)
	if c.cfg.Alarms.Raise(alarm.Alarm{
		Key: key, Severity: alarm.Critical, What: wrong,
		Do: "See that " + issuer.StatusURL + "/ocsp/" + string(issuer.ID) + " leads to this deployment, and what the alarm ocsp.responder says. 'pando ocsp query' asks again.",
	}) {
		c.cfg.Log.Error("status", "alarm", "ocsp.wrong", "issuer", issuer.ID, "what", wrong)
	}
}
