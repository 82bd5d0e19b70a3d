//go:build system

package acceptance

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"golang.org/x/sync/errgroup"

	"github.com/pando-pki/pando/client"
	"github.com/pando-pki/pando/internal/pki"
)

// estClients is how many devices ask at once, each over a TLS connection of its own.
const estClients = 64

// An estLoad is devices that enrol by EST, at once. One in twenty lost its answer and
// sends the same again, one in ten has its key made by the server.
type estLoad struct {
	base, token, issuer string
	roots, between      *x509.CertPool
	acks                *acknowledgements

	mu      sync.Mutex // guards the rest
	keys    map[string]string
	serials map[string]string
}

// TestESTLoad: of 5,000 enrolments with 64 TLS clients none is lost, each certificate is
// the device's own and verifies to the root, no key is in two, and the store is sound.
func TestESTLoad(t *testing.T) {
	devices := 5000
	if testing.Short() {
		devices = 500
	}
	h := newHouse(t, 2)
	before := h.check(t, "")
	h.serve(t)
	if _, err := h.as(t, "").CreateEndpoint(t.Context(), client.NewEndpoint{Name: "load", Authority: "manufacturing", Profile: "device", Protocols: []string{"est"}}); err != nil {
		t.Fatal(err)
	}
	l := &estLoad{
		base: h.file.Devices + "/.well-known/est/demo.load/", token: h.file.Token.Reveal(), issuer: path.Base(h.file.Authorities["manufacturing"].OCSP),
		roots: x509.NewCertPool(), between: x509.NewCertPool(), acks: newAcknowledgements(t), keys: make(map[string]string), serials: make(map[string]string),
	}
	for file, pool := range map[string]*x509.CertPool{h.file.Root: l.roots, h.file.Authorities["manufacturing"].Chain: l.between} {
		text, err := os.ReadFile(file)
		if err != nil || !pool.AppendCertsFromPEM(text) {
			t.Fatalf("%s: %v", file, err)
		}
	}
	names := make(chan int)
	g, ctx := errgroup.WithContext(t.Context())
	for range estClients {
		g.Go(func() error { return l.client(ctx, names) })
	}
	g.Go(func() error {
		defer close(names)
		for i := range devices {
			select {
			case names <- i:
			case <-ctx.Done():
				return nil
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(l.keys) != devices || len(l.serials) != devices {
		t.Errorf("%d devices have %d keys and %d serial numbers", devices, len(l.keys), len(l.serials))
	}
	h.stop(t)
	after := h.check(t, l.acks.path)
	if got := after.Certificates - before.Certificates; after.Acknowledged != int64(devices) || got < int64(devices) || got > int64(devices)+5 { // the server's own
		t.Errorf("%d certificates more, and %d that devices were told of; want %d", got, after.Acknowledged, devices)
	}
}

// client enrols devices one after the other over one connection.
func (l *estLoad) client(ctx context.Context, names <-chan int) error {
	over := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: l.roots}, MaxConnsPerHost: 1}}
	defer over.CloseIdleConnections()
	served := 0
	for i := range names {
		name, begun := fmt.Sprintf("load-%d", i), time.Now()
		csr, err := request(name)
		if err == nil && i%10 == 0 {
			err = l.serverKey(ctx, over, name, csr)
		} else if err == nil {
			err = l.enroll(ctx, over, name, csr, i%20 == 1)
		}
		if err != nil {
			return fmt.Errorf("%s, the device %d of its connection, after %s: %w", name, served+1, time.Since(begun), err)
		}
		served++
	}
	return nil
}

func (l *estLoad) post(ctx context.Context, over *http.Client, operation, csr string) (*http.Response, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.base+operation, strings.NewReader(csr))
	if err != nil {
		return nil, nil, err
	}
	r.Header.Set("Content-Type", "application/pkcs10")
	r.Header.Set("Authorization", "Bearer "+l.token)
	answer, err := over.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	return answer, body, err
}

// enroll has a device's own key certified, and again where the answer was lost.
func (l *estLoad) enroll(ctx context.Context, over *http.Client, name, csr string, again bool) error {
	_, body, err := l.post(ctx, over, "simpleenroll", csr)
	if err != nil {
		return err
	}
	if again {
		_, same, err := l.post(ctx, over, "simpleenroll", csr)
		if err != nil || !bytes.Equal(same, body) {
			return fmt.Errorf("the same request again got something else: %w", err)
		}
	}
	der, err := base64.StdEncoding.DecodeString(csr)
	if err != nil {
		return err
	}
	asked, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return err
	}
	return l.take(name, body, asked.PublicKey.(*ecdsa.PublicKey))
}

// serverKey has a device's key made by the server.
func (l *estLoad) serverKey(ctx context.Context, over *http.Client, name, csr string) error {
	answer, body, err := l.post(ctx, over, "serverkeygen", csr)
	if err != nil {
		return err
	}
	_, parameters, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	parts := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	var contents [2][]byte
	for i := range contents {
		p, err := parts.NextRawPart()
		if err != nil {
			return err
		}
		if contents[i], err = io.ReadAll(p); err != nil {
			return err
		}
	}
	der, err := base64.StdEncoding.DecodeString(string(contents[0]))
	if err != nil {
		return err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return err
	}
	return l.take(name, contents[1], &key.(*ecdsa.PrivateKey).PublicKey)
}

// take verifies what a device got and notes it.
func (l *estLoad) take(name string, body []byte, key *ecdsa.PublicKey) error {
	der, err := base64.StdEncoding.DecodeString(string(body))
	if err != nil {
		return err
	}
	message, err := pkcs7.Parse(der)
	if err != nil {
		return err
	}
	if len(message.Certificates) != 1 {
		return fmt.Errorf("%d certificates", len(message.Certificates))
	}
	c := message.Certificates[0]
	if _, err := c.Verify(x509.VerifyOptions{Roots: l.roots, Intermediates: l.between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return err
	}
	if c.Subject.CommonName != name || !key.Equal(c.PublicKey) {
		return fmt.Errorf("a certificate of %s, or for another key", c.Subject)
	}
	serial, err := pki.ParseSerial(fmt.Sprintf("%x", c.SerialNumber))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if other := l.keys[string(c.RawSubjectPublicKeyInfo)] + l.serials[serial.String()]; other != "" {
		return errors.New("the same key, or serial number, as " + other)
	}
	l.keys[string(c.RawSubjectPublicKeyInfo)], l.serials[serial.String()] = name, name
	return l.acks.add(l.issuer, serial.String(), c.Raw)
}
