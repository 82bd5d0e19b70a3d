package bench

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"iter"
	"net/http"
	"net/url"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// asked is how many certificates relying parties ask for in turn.
const asked = 200

// answerKept measures row 4: answers that are signed already.
func (b *bench) answerKept(ctx context.Context) error {
	ids, address, err := b.certIDs(ctx, asked)
	if err != nil {
		return err
	}
	path, err := b.ocspPath()
	if err != nil {
		return err
	}
	var gets, posts [][]byte
	for _, id := range ids {
		r := tbs.AppendOCSPRequest(nil, [][]byte{id}, nil)
		gets = append(gets, message("GET", address, path+"/"+url.PathEscape(base64.StdEncoding.EncodeToString(r)), nil, nil))
		posts = append(posts, ocspPost(address, path, r))
	}
	for round := range b.rounds + 1 {
		for _, way := range []struct {
			what     string
			requests [][]byte
		}{{ocspGET, gets}, {ocspPOST, posts}} {
			l := &load{clients: clients, dial: plain(address), status: http.StatusOK, requests: repeated(way.requests...)}
			var r *result
			handler, err := b.besideHandler(ctx, func() (err error) {
				r, err = l.measure(ctx, b.server, b.length)
				return err
			})
			if err != nil {
				return err
			}
			if round == 0 {
				continue // they were signed in this one
			}
			b.report.add(way.what, r.cpu/handler)
			b.tell("%s: %d answers, %.2f µs of CPU each, %.0f a second, p99 %v; %.2f × Handler",
				way.what, r.requests, r.cpu, r.rate, r.percentile(0.99), r.cpu/handler)
		}
	}
	return nil
}

// answerSigned measures row 5: each request has a nonce, so that each answer is
// signed for it. What the store said of a certificate is remembered for a second: of
// few it is asked seldom, of many each time.
func (b *bench) answerSigned(ctx context.Context) error {
	if err := b.answerNonces(ctx, ocspSigned, asked); err != nil {
		return err
	}
	many := max(asked, int(b.length.Seconds()*8000)) // no server comes round to the first within a second
	return b.answerNonces(ctx, ocspSignedMany, min(many, 20_000))
}

func (b *bench) answerNonces(ctx context.Context, what string, certificates int) error {
	ids, address, err := b.certIDs(ctx, certificates)
	if err != nil {
		return err
	}
	path, err := b.ocspPath()
	if err != nil {
		return err
	}
	for round := range b.rounds + 1 {
		l := &load{clients: clients, dial: plain(address), status: http.StatusOK, requests: withNonces(address, path, ids)}
		r, limit, err := b.measureBesideLimit(ctx, l, b.length)
		if err != nil {
			return err
		}
		if round == 0 {
			continue
		}
		b.report.add(what, r.cpu/limit.cpu)
		b.tell("%s: %d answers, %.1f µs of CPU each, %.0f a second, p99 %v; %.2f × Limit",
			what, r.requests, r.cpu, r.rate, r.percentile(0.99), r.cpu/limit.cpu)
	}
	return nil
}

// certIDs issues n certificates and returns the CertID of each, and the address to
// ask.
func (b *bench) certIDs(ctx context.Context, n int) (ids [][]byte, address string, err error) {
	if err := b.startServer(ctx); err != nil {
		return nil, "", err
	}
	serials, err := b.issueSome(ctx, n)
	if err != nil {
		return nil, "", err
	}
	for _, s := range serials {
		id, err := b.certID(s)
		if err != nil {
			return nil, "", err
		}
		ids = append(ids, id)
	}
	u, err := url.Parse(b.file.HTTP)
	return ids, u.Host, err
}

// certID returns the CertID of a certificate of the manufacturing authority.
func (b *bench) certID(c issued) ([]byte, error) {
	issuer, err := issuerCertificate(b.file.Authorities["manufacturing"].Chain)
	if err != nil {
		return nil, err
	}
	parsed, err := tbs.ParseCertificate(issuer.Raw)
	if err != nil {
		return nil, err
	}
	serial, err := pki.ParseSerial(c.serial)
	if err != nil {
		return nil, err
	}
	return tbs.AppendCertID(nil, crypto.SHA1, parsed, serial), nil
}

func (b *bench) ocspPath() (string, error) {
	u, err := url.Parse(b.file.Authorities["manufacturing"].OCSP)
	return u.EscapedPath(), err
}

func ocspPost(host, path string, request []byte) []byte {
	return message("POST", host, path, map[string]string{"Content-Type": "application/ocsp-request"}, request)
}

// withNonces yields requests for the CertIDs in turn, each with another nonce (RFC
// 9654).
func withNonces(host, path string, ids [][]byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for id := range repeated(ids...) {
			nonce := make([]byte, 32)
			rand.Read(nonce)
			if !yield(ocspPost(host, path, tbs.AppendOCSPRequest(nil, [][]byte{id}, nonce))) {
				return
			}
		}
	}
}

// An issued is a certificate by its names.
type issued struct{ issuer, serial string }

// issueSome issues n certificates as a batch and returns which they are.
func (b *bench) issueSome(ctx context.Context, n int) ([]issued, error) {
	batch, err := b.issueFile(ctx, n)
	if err != nil {
		return nil, err
	}
	all := make([]issued, 0, n)
	for r, err := range b.api.Results(ctx, batch, 0) {
		if err != nil {
			return nil, err
		}
		if r.Status != client.RowIssued {
			return nil, errors.New("a row was refused: " + r.Reason)
		}
		all = append(all, issued{r.Issuer, r.Serial})
	}
	return all, nil
}

// issueFile issues n certificates as a batch, whose id it returns.
func (b *bench) issueFile(ctx context.Context, n int) (batch string, err error) {
	file, err := b.newDevices(ctx, n)
	if err != nil {
		return "", err
	}
	made, err := b.submit(ctx, lot, endpoint, file)
	if err != nil {
		return "", err
	}
	return made.ID, b.collect(ctx, made.ID, n)
}
