package signer_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/signer"
	"github.com/pando-pki/pando/internal/tbs"
)

// Key kinds of every algorithm; the larger RSA keys are like the smallest.
var kinds = []pki.KeyKind{pki.P256, pki.P384, pki.P521, pki.RSA2048, pki.Ed25519}

// useOf is a use whose keys sign for the purpose.
var useOf = map[signer.Purpose]keystore.Use{
	signer.Certificate: keystore.UseCA, signer.CRL: keystore.UseCA,
	signer.OCSP: keystore.UseOCSP, signer.Request: keystore.UseTLS, signer.Checkpoint: keystore.UseLog,
	signer.LotReport: keystore.UseLotReport,
}

// messages returns a structure of each purpose for the key. Those that
// crypto/x509 makes are made by it, so that our encoder has a second opinion.
func messages(t testing.TB, public tbs.PublicKey, key crypto.Signer) map[signer.Purpose][]byte {
	t.Helper()
	at := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: "x"}, NotBefore: at, NotAfter: at.AddDate(1, 0, 0),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	entries := make([]x509.RevocationListEntry, 100) // long enough for a length in two octets
	for i := range entries {
		entries[i] = x509.RevocationListEntry{SerialNumber: big.NewInt(int64(i) + 1), RevocationTime: at}
	}
	der, err = x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: at, NextUpdate: at.AddDate(0, 0, 7), RevokedCertificateEntries: entries,
	}, certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	der, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	return map[signer.Purpose][]byte{
		signer.Certificate: certificate.RawTBSCertificate,
		signer.CRL:         crl.RawTBSRevocationList,
		signer.OCSP:        responseData(public.KeyID(), at),
		signer.Request:     request.RawTBSCertificateRequest,
		signer.Checkpoint:  []byte("pando/d/tenant/acme\n7\n" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\ntime 2026-10-01T12:00:00Z\n"),
		signer.LotReport:   []byte("pando lot report 1\n{\"lot\": \"7\"}\n"),
	}
}

// responseData returns a ResponseData without single responses.
func responseData(keyID []byte, at time.Time) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.Tag(2).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1OctetString(keyID) })
		b.AddASN1GeneralizedTime(at)
		b.AddASN1(asn1.SEQUENCE, func(*cryptobyte.Builder) {})
	})
	return b.BytesOrPanic()
}

func TestSign(t *testing.T) {
	for _, kind := range kinds {
		for purpose, use := range useOf {
			t.Run(string(kind)+"/"+purpose.String(), func(t *testing.T) {
				p := newProvider()
				s := p.signer()
				uri, public, key := newKey(t, p, s, kind, use)
				message := messages(t, public, key)[purpose]
				for _, check := range []bool{true, false} {
					signature, err := s.Sign(t.Context(), uri, purpose, message, check)
					if err != nil {
						t.Fatal(err)
					}
					if err := public.Verify(public.SignatureAlgorithm(), message, signature); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

func TestUses(t *testing.T) {
	allowed := map[keystore.Use][]signer.Purpose{
		keystore.UseCA:   {signer.Certificate, signer.CRL, signer.Request},
		keystore.UseOCSP: {signer.OCSP, signer.Request},
		keystore.UseTLS:  {signer.Request},
		keystore.UseLog:  {signer.Checkpoint, signer.Request},

		keystore.UseLotReport: {signer.LotReport, signer.Request},

		"other": {},
	}
	for use, purposes := range allowed {
		p := newProvider()
		s := p.signer()
		uri, public, key := newKey(t, p, s, pki.P256, use)
		want := make(map[signer.Purpose]bool)
		for _, purpose := range purposes {
			want[purpose] = true
		}
		for purpose, message := range messages(t, public, key) {
			_, err := s.Sign(t.Context(), uri, purpose, message, false)
			if want[purpose] != (err == nil) || err != nil && pki.KindOf(err) != pki.Forbidden {
				t.Errorf("use %s, purpose %s: error %v", use, purpose, err)
			}
			if purpose != signer.CRL {
				continue
			}
			_, err = s.SignStream(t.Context(), uri, purpose, writes(message))
			if want[purpose] != (err == nil) || err != nil && pki.KindOf(err) != pki.Forbidden {
				t.Errorf("use %s, stream of purpose %s: error %v", use, purpose, err)
			}
		}
		if _, err := s.Sign(t.Context(), uri, 0, nil, false); pki.KindOf(err) != pki.Forbidden {
			t.Errorf("use %s, no purpose: error %v", use, err)
		}
	}
}

func TestShapes(t *testing.T) {
	for _, kind := range []pki.KeyKind{pki.P256, pki.RSA2048, pki.Ed25519} {
		for purpose, use := range useOf {
			p := newProvider()
			s := p.signer()
			uri, public, key := newKey(t, p, s, kind, use)
			good := messages(t, public, key)
			_, otherPublic, otherKey := newKey(t, p, s, pki.P384, use)
			bad := map[string][]byte{
				"nothing":         nil,
				"a digest":        make([]byte, 32),
				"empty sequence":  {0x30, 0},
				"cut":             good[purpose][:len(good[purpose])-1],
				"trailing":        append(bytes.Clone(good[purpose]), 0),
				"twice":           append(bytes.Clone(good[purpose]), good[purpose]...),
				"another tag":     append([]byte{0x31}, good[purpose][1:]...),
				"another key's":   messages(t, otherPublic, otherKey)[purpose],
				"indefinite":      append([]byte{0x30, 0x80}, good[purpose][2:]...),
				"length too long": append([]byte{0x30, 0x85, 0, 0, 0, 0}, good[purpose][1:]...),
			}
			if purpose == signer.Checkpoint || purpose == signer.LotReport {
				delete(bad, "another key's") // they name no key
			}
			for other, message := range good {
				if other != purpose {
					bad["a "+other.String()] = message
				}
			}
			for name, message := range bad {
				if _, err := s.Sign(t.Context(), uri, purpose, message, true); err == nil || !strings.Contains(err.Error(), "what is to be signed") {
					t.Errorf("%s, %s: %s was signed or not understood: error %v", kind, purpose, name, err)
				}
				if purpose != signer.CRL {
					continue
				}
				if _, err := s.SignStream(t.Context(), uri, purpose, writes(message)); err == nil || !strings.Contains(err.Error(), "what is to be signed") {
					t.Errorf("%s, stream: %s was signed or not understood: error %v", kind, name, err)
				}
			}
		}
	}
}

// writes returns a function that writes message in pieces of seven octets.
func writes(message []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		for rest := message; len(rest) > 0; rest = rest[min(7, len(rest)):] {
			if _, err := w.Write(rest[:min(7, len(rest))]); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestSignStream(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			p := newProvider()
			s := p.signer()
			uri, public, key := newKey(t, p, s, kind, keystore.UseCA)
			message := messages(t, public, key)[signer.CRL]
			signature, err := s.SignStream(t.Context(), uri, signer.CRL, writes(message))
			if err != nil {
				t.Fatal(err)
			}
			if err := public.Verify(public.SignatureAlgorithm(), message, signature); err != nil {
				t.Error(err)
			}
			broken := errors.New("broken")
			if _, err := s.SignStream(t.Context(), uri, signer.CRL, func(io.Writer) error { return broken }); !errors.Is(err, broken) {
				t.Errorf("the writer's error became %v", err)
			}
			if _, err := s.SignStream(t.Context(), uri, signer.Certificate, writes(messages(t, public, key)[signer.Certificate])); err == nil {
				t.Error("a certificate was signed as a stream")
			}
			p.wrong.Store(true)
			if _, err := s.SignStream(t.Context(), uri, signer.CRL, writes(message)); err == nil {
				t.Error("a wrong signature was returned")
			}
		})
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name     string
		purpose  signer.Purpose
		hardware bool
		proven   bool // a right signature was checked before
		check    bool
		caught   bool
	}{
		{name: "asked for", purpose: signer.Certificate, proven: true, check: true, caught: true},
		{name: "not asked for", purpose: signer.Certificate, proven: true},
		{name: "OCSP not asked for", purpose: signer.OCSP, proven: true},
		{name: "first", purpose: signer.Certificate, caught: true},
		{name: "hardware", purpose: signer.Certificate, hardware: true, proven: true, caught: true},
		{name: "CRL", purpose: signer.CRL, proven: true, caught: true},
		{name: "request", purpose: signer.Request, proven: true, caught: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider()
			p.hardware = tt.hardware
			s := p.signer()
			uri, public, key := newKey(t, p, s, pki.P256, useOf[tt.purpose])
			message := messages(t, public, key)[tt.purpose]
			if tt.proven {
				if _, err := s.Sign(t.Context(), uri, tt.purpose, message, false); err != nil {
					t.Fatal(err)
				}
			}
			p.wrong.Store(true)
			if _, err := s.Sign(t.Context(), uri, tt.purpose, message, tt.check); (err != nil) != tt.caught {
				t.Errorf("wrong signature: error %v, want caught %v", err, tt.caught)
			}
			if !tt.caught {
				return
			}
			// A key that was caught is not believed until it is right again.
			if _, err := s.Sign(t.Context(), uri, tt.purpose, message, false); err == nil {
				t.Error("the second wrong signature was returned")
			}
			p.wrong.Store(false)
			if _, err := s.Sign(t.Context(), uri, tt.purpose, message, false); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSignConcurrently(t *testing.T) {
	p := newProvider()
	s := p.signer()
	uri, public, key := newKey(t, p, s, pki.P256, keystore.UseCA)
	message := messages(t, public, key)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				signature, err := s.Sign(t.Context(), uri, signer.Certificate, message[signer.Certificate], false)
				if err == nil {
					err = public.Verify(public.SignatureAlgorithm(), message[signer.Certificate], signature)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := p.opens.Load(); n != 1 {
		t.Errorf("opened %d times, want once", n)
	}
}

// TestSignCheckedOften: what is checked is right however many signatures a key made.
func TestSignCheckedOften(t *testing.T) {
	for _, kind := range []pki.KeyKind{pki.P256, pki.P384} {
		p := newProvider()
		s := p.signer()
		uri, public, key := newKey(t, p, s, kind, keystore.UseCA)
		message := messages(t, public, key)[signer.Certificate]
		for i := range 200 {
			p.wrong.Store(i%10 == 9)
			signature, err := s.Sign(t.Context(), uri, signer.Certificate, message, true)
			switch {
			case p.wrong.Load():
				if err == nil {
					t.Errorf("%s: wrong signature %d was returned", kind, i)
				}
			case err != nil:
				t.Errorf("%s: good signature %d: %v", kind, i, err)
			default:
				if err := public.Verify(public.SignatureAlgorithm(), message, signature); err != nil {
					t.Errorf("%s: signature %d: %v", kind, i, err)
				}
			}
		}
	}
}
