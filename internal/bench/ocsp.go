package bench

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"iter"
	"math/big"
	"net/http"
	"net/url"

	"golang.org/x/crypto/ocsp"

	"github.com/pando-pki/pando/client"
)

// asked is how many certificates relying parties ask for in turn.
const asked = 200

// answerKept measures row 4: answers that are signed already.
func (b *bench) answerKept(ctx context.Context) error {
	requests, address, err := b.ocspRequests(ctx)
	if err != nil {
		return err
	}
	path, err := b.ocspPath()
	if err != nil {
		return err
	}
	var gets, posts [][]byte
	for _, r := range requests {
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
// signed for it.
func (b *bench) answerSigned(ctx context.Context) error {
	requests, address, err := b.ocspRequests(ctx)
	if err != nil {
		return err
	}
	path, err := b.ocspPath()
	if err != nil {
		return err
	}
	for round := range b.rounds + 1 {
		l := &load{clients: clients, dial: plain(address), status: http.StatusOK, requests: withNonces(address, path, requests)}
		r, limit, err := b.measureBesideLimit(ctx, l, b.length)
		if err != nil {
			return err
		}
		if round == 0 {
			continue
		}
		b.report.add(ocspSigned, r.cpu/limit.cpu)
		b.tell("%s: %d answers, %.1f µs of CPU each, %.0f a second, p99 %v; %.2f × Limit",
			ocspSigned, r.requests, r.cpu, r.rate, r.percentile(0.99), r.cpu/limit.cpu)
	}
	return nil
}

// ocspRequests issues some certificates and returns a request for each, without a
// nonce, and the address to ask.
func (b *bench) ocspRequests(ctx context.Context) (requests [][]byte, address string, err error) {
	if err := b.startServer(ctx); err != nil {
		return nil, "", err
	}
	serials, err := b.issueSome(ctx, asked)
	if err != nil {
		return nil, "", err
	}
	issuer, err := issuerCertificate(b.file.Authorities["manufacturing"].Chain)
	if err != nil {
		return nil, "", err
	}
	for _, s := range serials {
		number, _ := new(big.Int).SetString(s.serial, 16)
		r, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: number}, issuer, &ocsp.RequestOptions{Hash: crypto.SHA1})
		if err != nil {
			return nil, "", err
		}
		requests = append(requests, r)
	}
	u, err := url.Parse(b.file.HTTP)
	return requests, u.Host, err
}

func (b *bench) ocspPath() (string, error) {
	u, err := url.Parse(b.file.Authorities["manufacturing"].OCSP)
	return u.EscapedPath(), err
}

func ocspPost(host, path string, request []byte) []byte {
	return message("POST", host, path, map[string]string{"Content-Type": "application/ocsp-request"}, request)
}

// withNonces yields the requests in turn, each time with another nonce (RFC 9654).
func withNonces(host, path string, requests [][]byte) iter.Seq[[]byte] {
	type extension struct {
		ID    asn1.ObjectIdentifier
		Value []byte
	}
	type tbsRequest struct {
		List       asn1.RawValue
		Extensions []extension `asn1:"explicit,tag:2"`
	}
	return func(yield func([]byte) bool) {
		for r := range repeated(requests...) {
			var inner struct{ Request struct{ List asn1.RawValue } }
			if _, err := asn1.Unmarshal(r, &inner); err != nil {
				panic(err) // x/crypto made it
			}
			nonce := make([]byte, 32)
			rand.Read(nonce)
			value, _ := asn1.Marshal(nonce)
			out, err := asn1.Marshal(struct{ Request tbsRequest }{tbsRequest{
				inner.Request.List, []extension{{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, value}},
			}})
			if err != nil {
				panic(err) // it is of constants and octets
			}
			if !yield(ocspPost(host, path, out)) {
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
	made, err := b.submit(ctx, endpoint, file)
	if err != nil {
		return "", err
	}
	return made.ID, b.collect(ctx, made.ID, n)
}
