package revocation_test

import (
	"crypto"
	"testing"

	"github.com/pando-pki/pando/internal/revocation"
	"github.com/pando-pki/pando/internal/revocation/revocationtest"
)

func BenchmarkOCSP(b *testing.B) {
	v := revocationtest.New(b, 1)
	serial := v.Issue()
	ask := func(b *testing.B, request []byte) {
		if _, err := v.Respond(b.Context(), v.CA.Issuer.ID, request); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("kept", func(b *testing.B) {
		request := revocationtest.Request(b, v.CA.Certificate, crypto.SHA1, serial)
		ask(b, request)
		b.ReportAllocs()
		for b.Loop() {
			ask(b, request)
		}
	})
	b.Run("signed", func(b *testing.B) {
		request := revocationtest.RequestWith(v.CA.Certificate, []byte("a nonce of the request"), serial)
		ask(b, request)
		b.ReportAllocs()
		for b.Loop() {
			ask(b, request)
		}
	})
}

func BenchmarkCRL100000(b *testing.B) {
	v := revocationtest.New(b, 1)
	addRevoked(b, v, 100_000)
	if _, err := v.PublishDue(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		v.Clock.Advance(revocation.DefaultCRLLife)
		if n, err := v.PublishDue(b.Context()); n != 1 || err != nil {
			b.Fatal(n, err)
		}
	}
}
