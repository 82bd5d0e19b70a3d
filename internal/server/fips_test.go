package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/pando-pki/pando/internal/pandotest"
)

// TestFIPSOnly: what a client of the listeners may offer alone where only what FIPS
// 140-3 approves may be computed.
func TestFIPSOnly(t *testing.T) {
	offers := func(client *tls.Config) func(t *testing.T) {
		return func(t *testing.T) {
			conn, roots, served := shakesHands(t)
			client := client.Clone()
			client.ServerName, client.RootCAs = "pando", roots
			err := tls.Client(conn, client).HandshakeContext(t.Context())
			if err != nil {
				conn.Close()
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
		"no-ems":   offersNoEMS,
	})
}

// shakesHands returns a connection to a server that shakes hands once, whom a client is to
// trust, and what comes of it.
func shakesHands(t *testing.T) (conn net.Conn, roots *x509.CertPool, served <-chan error) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := pandotest.NewRoot(t, "root", pandotest.Now())
	der := ca.Sign(t, &x509.Certificate{DNSNames: []string{"pando"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}, key.Public())
	pipes := pandotest.NewPipes()
	t.Cleanup(func() { pipes.Close() })
	done := make(chan error, 1)
	go func() {
		conn, err := pipes.Accept()
		if err == nil {
			err = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}).HandshakeContext(t.Context())
		}
		done <- err
	}()
	roots = x509.NewCertPool()
	roots.AddCert(ca.Certificate)
	return pipes.Dial(t), roots, done
}

// offersNoEMS is a client of TLS 1.2 without the extended master secret (RFC 7627), which
// Go's own always offers. It shakes hands as far as to where a server needs it, and leaves.
func offersNoEMS(t *testing.T) {
	conn, _, served := shakesHands(t)
	const hello, done, keyExchange = 1, 14, 16
	send := func(kind uint8, body func(*cryptobyte.Builder)) {
		t.Helper()
		var b cryptobyte.Builder
		b.AddBytes([]byte{22, 3, 3})
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint8(kind)
			b.AddUint24LengthPrefixed(body)
		})
		if _, err := conn.Write(b.BytesOrPanic()); err != nil {
			t.Fatal(err)
		}
	}
	send(hello, func(b *cryptobyte.Builder) {
		b.AddUint16(tls.VersionTLS12)
		b.AddBytes(make([]byte, 32)) // random
		b.AddBytes([]byte{0, 0, 2})  // no session; one suite
		b.AddUint16(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
		b.AddBytes([]byte{1, 0}) // no compression
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddBytes([]byte{0, 10, 0, 4, 0, 2, 0, 23}) // supported_groups: secp256r1
			b.AddBytes([]byte{0, 11, 0, 2, 1, 0})        // ec_point_formats: uncompressed
			b.AddBytes([]byte{0, 13, 0, 4, 0, 2, 4, 3})  // signature_algorithms: ecdsa_secp256r1_sha256
			b.AddBytes([]byte{0xff, 1, 0, 1, 0})         // renegotiation_info
		})
	})
	for header := make([]byte, 5); ; {
		if _, err := io.ReadFull(conn, header); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, int(header[3])<<8|int(header[4]))
		if _, err := io.ReadFull(conn, body); err != nil {
			t.Fatal(err)
		}
		if header[0] != 22 {
			t.Fatalf("record of type %d: %x", header[0], body)
		}
		if body[0] == done {
			break
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	send(keyExchange, func(b *cryptobyte.Builder) {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(point) })
	})
	conn.Close()
	if err := <-served; !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}
