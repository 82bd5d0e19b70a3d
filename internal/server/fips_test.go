package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pandotest"
)

// TestFIPSOnly: what a client of the listeners may offer alone where only what FIPS
// 140-3 approves may be computed.
func TestFIPSOnly(t *testing.T) {
	offers := func(client *tls.Config) func(t *testing.T) {
		return func(t *testing.T) {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			ca := pandotest.NewRoot(t, "root", pandotest.Now())
			der := ca.Sign(t, &x509.Certificate{DNSNames: []string{"pando"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}, key.Public())
			pipes := pandotest.NewPipes()
			defer pipes.Close()
			served := make(chan error, 1)
			go func() {
				conn, err := pipes.Accept()
				if err == nil {
					err = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}).HandshakeContext(t.Context())
				}
				served <- err
			}()
			client := client.Clone()
			client.ServerName, client.RootCAs = "pando", x509.NewCertPool()
			client.RootCAs.AddCert(ca.Certificate)
			conn := tls.Client(pipes.Dial(t), client)
			err = conn.HandshakeContext(t.Context())
			if err != nil {
				conn.NetConn().Close()
			}
			if err := errors.Join(err, <-served); err != nil {
				t.Fatal(err)
			}
		}
	}
	pandotest.FIPSOnly(t, "tls", map[string]func(t *testing.T){
		"p256":     offers(&tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP256}}),
		"p384":     offers(&tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}}),
		"x25519":   offers(&tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}),
		"mlkem768": offers(&tls.Config{CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}}),
		"aes-gcm":  offers(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}),
		"chacha20": offers(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}}),
	})
}
