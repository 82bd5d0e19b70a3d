package cli

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// ocspCommand is "pando ocsp".
type ocspCommand struct {
	Query      ocspQuery      `cmd:"" help:"Ask a responder about a certificate, and verify the answer."`
	Responders ocspResponders `cmd:"" help:"List the responders of the tenant's issuers."`
}

// ocspQuery is "pando ocsp query".
type ocspQuery struct {
	Certificate string `arg:"" optional:"" help:"File with the certificate, PEM or DER; - is standard input."`
	Issuer      string `placeholder:"FILE" help:"File with the issuer's certificate (default: the second of the first file)."`
	Serial      string `placeholder:"HEX" help:"Ask about this serial number, instead of a certificate."`
	URL         string `name:"url" placeholder:"URL" help:"The responder's URL (default: the one in the certificate)."`
	Get         bool   `help:"Ask by GET, as caches like it, and without a nonce."`
	NoNonce     bool   `help:"Ask without a nonce."`
	SHA1        bool   `name:"sha1" help:"Name the issuer by SHA-1, for responders that know nothing else."`
}

func (ocspQuery) Help() string {
	return `Asks as a relying party does (RFC 6960), with a nonce (RFC 9654), and verifies that the answer is by the issuer or by a responder that it delegated, about this certificate, and for this moment. Fails where the certificate is not good.

Examples:

    pando ocsp query head-end.pem
    pando ocsp query meter.pem --issuer issuer.pem --get
    pando ocsp query --serial 4201902f... --issuer issuer.pem --url http://pki.example.com/ocsp/5m2k8c0q4r --json`
}

const (
	maxCertificateFile = 1 << 20
	maxOCSPAnswer      = 1 << 20
)

// ocspAnswer is what a responder said.
type ocspAnswer struct {
	Serial     string    `json:"serial"`
	Status     string    `json:"status"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	Reason     string    `json:"reason,omitempty"`
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	ProducedAt time.Time `json:"produced_at"`
	Nonce      string    `json:"nonce" enum:"none,echoed,missing"`
	Responder  string    `json:"responder"`
	Ends       time.Time `json:"responder_ends"`
	URL        string    `json:"url"`
}

// Run asks the responder.
func (q *ocspQuery) Run(ctx context.Context, c *console) error {
	issuer, serial, err := q.subject(c)
	if err != nil {
		return err
	}
	var nonce []byte
	if !q.Get && !q.NoNonce {
		nonce = make([]byte, 32)
		rand.Read(nonce)
	}
	hash := crypto.SHA256
	if q.SHA1 {
		hash = crypto.SHA1
	}
	id := tbs.AppendCertID(nil, hash, issuer, serial)
	answer, err := q.ask(ctx, tbs.AppendOCSPRequest(nil, [][]byte{id}, nonce))
	if err != nil {
		return err
	}
	got, err := q.read(answer, issuer, id, nonce)
	if err != nil {
		return fmt.Errorf("%s: %w", q.URL, err)
	}
	got.Serial, got.URL = serial.String(), q.URL
	if err := c.result(got, got.write); err != nil {
		return err
	}
	if got.Status != tbs.OCSPGood.String() {
		return errSilent
	}
	return nil
}

// subject returns whom and what to ask about, and sets the URL.
func (q *ocspQuery) subject(c *console) (issuer *tbs.Parsed, serial pki.Serial, err error) {
	if (q.Certificate == "") == (q.Serial == "") {
		return nil, serial, usagef("name a file with a certificate, or --serial")
	}
	var chain []*tbs.Parsed
	if q.Certificate != "" {
		text, err := c.readInput(q.Certificate, maxCertificateFile)
		if _, no := pki.ParseSerial(q.Certificate); errors.Is(err, os.ErrNotExist) && no == nil {
			err = hintf(err, "this takes a file; of a serial number, 'pando cert show %s > certificate.pem' writes one, and 'pando cert trace' says the status", q.Certificate)
		}
		if err != nil {
			return nil, serial, err
		}
		if chain, err = parsePEMChain(q.Certificate, text); err != nil {
			return nil, serial, err
		}
		serial = chain[0].Serial
	} else if serial, err = pki.ParseSerial(q.Serial); err != nil {
		return nil, serial, err
	}
	switch {
	case q.Issuer != "":
		text, err := c.readInput(q.Issuer, maxCertificateFile)
		if err != nil {
			return nil, serial, err
		}
		issuers, err := parsePEMChain(q.Issuer, text)
		if err != nil {
			return nil, serial, err
		}
		issuer = issuers[0]
	case len(chain) > 1:
		issuer = chain[1]
	default:
		return nil, serial, usagef("name the file with the issuer's certificate: --issuer")
	}
	if len(chain) > 0 {
		if err := chain[0].CheckSignedBy(issuer); err != nil {
			return nil, serial, err
		}
	}
	if q.URL == "" && len(chain) > 0 {
		certificate, err := x509.ParseCertificate(chain[0].Raw)
		if err != nil {
			return nil, serial, err
		}
		if len(certificate.OCSPServer) > 0 {
			q.URL = certificate.OCSPServer[0]
		}
	}
	switch {
	case q.URL != "":
	case len(chain) == 0:
		return nil, serial, usagef("a serial number names no responder: name its URL with --url")
	default:
		return nil, serial, hintf(usagef("the certificate names no responder"),
			"name its URL with --url; a certificate that a root signed may have none: the root's CRL tells its status ('pando crl show')")
	}
	return issuer, serial, nil
}

// ask sends the request (RFC 6960, A.1).
func (q *ocspQuery) ask(ctx context.Context, request []byte) ([]byte, error) {
	method, to, body := http.MethodPost, q.URL, io.Reader(bytes.NewReader(request))
	if q.Get {
		method, body = http.MethodGet, nil
		to = strings.TrimRight(q.URL, "/") + "/" + url.PathEscape(base64.StdEncoding.EncodeToString(request))
	}
	r, err := http.NewRequestWithContext(ctx, method, to, body)
	if err != nil {
		return nil, err
	}
	if !q.Get {
		r.Header.Set("Content-Type", "application/ocsp-request")
	}
	return send(r, maxOCSPAnswer)
}

// read verifies an answer (RFC 6960, 3.2).
func (q *ocspQuery) read(answer []byte, issuer *tbs.Parsed, id, nonce []byte) (*ocspAnswer, error) {
	response, err := tbs.ParseOCSPResponse(answer)
	if err != nil {
		return nil, err
	}
	if response.Error != 0 {
		return nil, fmt.Errorf("the responder answers %s", map[tbs.OCSPErrorStatus]string{
			tbs.OCSPMalformedRequest: "malformedRequest", tbs.OCSPInternalError: "internalError",
			tbs.OCSPTryLater: "tryLater", 5: "sigRequired", tbs.OCSPUnauthorized: "unauthorized",
		}[response.Error])
	}
	now := time.Now()
	responder, err := response.Verify(issuer, now)
	if err != nil {
		return nil, err
	}
	for _, single := range response.Singles {
		if !bytes.Equal(single.ID, id) {
			continue
		}
		got := &ocspAnswer{Status: single.Status.String(), RevokedAt: single.RevokedAt, ThisUpdate: single.ThisUpdate, NextUpdate: single.NextUpdate,
			ProducedAt: response.ProducedAt, Responder: responder.Serial.String(), Ends: responder.NotAfter, Nonce: "none"}
		if single.Status == tbs.OCSPRevoked {
			got.Reason = single.Reason.String()
		}
		switch {
		case nonce != nil && response.Nonce == nil:
			got.Nonce = "missing" // a cache may have answered, or a responder that knows none
		case nonce != nil && !bytes.Equal(nonce, response.Nonce):
			return nil, errors.New("the answer has another nonce: it is to somebody else")
		case nonce != nil:
			got.Nonce = "echoed"
		}
		const skew = 5 * time.Minute
		if now.Add(skew).Before(single.ThisUpdate) || !single.NextUpdate.IsZero() && now.After(single.NextUpdate.Add(skew)) {
			return nil, fmt.Errorf("the answer is for the time from %s to %s", when(single.ThisUpdate), when(single.NextUpdate))
		}
		return got, nil
	}
	return nil, errors.New("the answer is about other certificates")
}

func (a *ocspAnswer) write(w io.Writer) error {
	t := table{}
	t.add("serial", a.Serial)
	t.add("status", a.Status)
	if a.Status == tbs.OCSPRevoked.String() {
		t.add("revoked", when(a.RevokedAt))
		t.add("reason", a.Reason)
	}
	t.add("this update", when(a.ThisUpdate))
	t.add("next update", when(a.NextUpdate))
	t.add("produced", when(a.ProducedAt))
	t.add("nonce", a.Nonce)
	t.add("responder", a.Responder)
	t.add("responder ends", when(a.Ends))
	t.add("URL", a.URL)
	return t.write(w)
}

// ocspResponders is "pando ocsp responders".
type ocspResponders struct{}

func (ocspResponders) Help() string {
	return `Certificates and keys of responders are followed by others when half of their life is over.

Examples:

    pando ocsp responders
    pando ocsp responders --json`
}

// Run lists the responders.
func (*ocspResponders) Run(ctx context.Context, c *console, cl *client.Client) error {
	responders, err := cl.Responders(ctx)
	if err != nil {
		return err
	}
	t := table{heading: []string{"ISSUER", "SERIAL", "NOT BEFORE", "NOT AFTER", "PROBLEM"}}
	for _, r := range responders {
		t.add(r.Issuer, r.Serial, when(r.NotBefore), when(r.NotAfter), r.Problem)
	}
	return c.list(client.List[client.Responder]{Items: responders}, &t, "", "")
}
