package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pando-pki/pando/internal/access"
	"github.com/pando-pki/pando/internal/enroll"
	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
)

// BootstrapFile is the name, within the data directory, of the certificate that
// clients trust until the listeners have one from their endpoint.
const BootstrapFile = "bootstrap.pem"

// renewEvery is how often the listeners' certificate is looked at.
const renewEvery = time.Minute

// tlsConfig has TLS 1.3 with Go's own choice of suites and TLS 1.2 with forward
// secrecy and authenticated encryption alone: Go would take CBC with SHA-1, too. It
// picks the certificate anew for each handshake, so that a renewal needs no restart.
func (l *listeners) tlsConfig(clients tls.ClientAuthType) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		ClientAuth:         clients,
		GetConfigForClient: l.s.handshake,
		NextProtos:         []string{"h2", "http/1.1"},
		// Some clients of EST take a record for the whole of an answer.
		DynamicRecordSizingDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return l.certificate.Load(), nil
		},
	}
}

// renew keeps the listeners' certificate fresh until ctx ends. The first look at it
// is before they serve.
func (l *listeners) renew(ctx context.Context) error {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			l.tryEnsure(ctx)
		}
	}
}

// tryEnsure is ensure for when nobody waits for it: what fails is logged.
func (l *listeners) tryEnsure(ctx context.Context) {
	switch err := l.ensure(ctx); {
	case err == nil || ctx.Err() != nil:
	case pki.KindOf(err) == pki.NotFound:
		l.s.log.Info("the listeners wait for their endpoint to be made", "endpoint", l.s.cfg.TLS.Endpoint)
	default:
		l.s.log.Error("the listeners' certificate", "endpoint", l.s.cfg.TLS.Endpoint, "error", err)
	}
}

// ensure sets the certificate that the configured endpoint issues.
func (l *listeners) ensure(ctx context.Context) error {
	endpoint := l.s.cfg.TLS.Endpoint
	if endpoint == "" {
		return nil
	}
	tenant, _, ok := strings.Cut(endpoint, ".")
	if !ok {
		return pki.Errorf(pki.Malformed, "tls.endpoint %q: write the label {tenant}.{name}", endpoint)
	}
	names := slices.Compact(slices.Sorted(slices.Values(l.s.cfg.TLS.Names)))
	have, leaf, err := l.s.credentials.get(ctx, want{
		tenant: pki.TenantID(tenant), name: "listener:" + l.s.cfg.Node, use: keystore.UseTLS, kind: pki.P256, names: names,
		source: fmt.Sprintf("endpoint %s, names %q", endpoint, names),
		enroll: func(ctx context.Context, g access.Permit, csr []byte) (*pki.Enrollment, error) {
			return l.s.enroll.Enroll(ctx, enroll.Request{
				Grant: g, Endpoint: endpoint, Protocol: pki.ProtocolREST, Subject: enroll.Subject{CSR: csr},
			})
		},
	})
	if err != nil {
		return err
	}
	key, err := l.s.credentials.keys.TLS(ctx, have.Key)
	if err != nil {
		return err
	}
	l.certificate.Store(&tls.Certificate{Certificate: have.Chain, PrivateKey: key, Leaf: leaf})
	return nil
}

// bootstrap makes a self-signed certificate for the listeners' first hours. Its
// key lives in memory only: a restart makes another.
func (l *listeners) bootstrap() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	now := l.s.now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "pando bootstrap"},
		NotBefore: now.Add(-time.Minute), NotAfter: now.AddDate(0, 0, 90),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range l.s.cfg.TLS.Names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(certificate)
	if err != nil {
		return err
	}
	l.certificate.Store(&tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key, Leaf: leaf})
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	return os.WriteFile(filepath.Join(l.s.cfg.Data, BootstrapFile), text, 0o644)
}
