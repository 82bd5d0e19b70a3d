package cms

import (
	"bytes"
	"testing"

	"github.com/pando-pki/pando/internal/pki"
)

// BenchmarkSigned reads and verifies a request as SCEP's, as DER and as a stream of BER.
func BenchmarkSigned(b *testing.B) {
	p := newParty(b, pki.RSA2048)
	message := sign(b, Message{Content: make([]byte, 2000), Certificates: [][]byte{p.certificate}},
		Signer{Key: p.signer(), Certificate: p.certificate, Attributes: []Attribute{transactionID}})
	for name, message := range map[string][]byte{"DER": message, "BER": toBER(message)} {
		b.Run("parse/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				parseSigned(b, message)
			}
		})
	}
	d := parseSigned(b, message)
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.Verify(0, VerifyOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkOpen opens envelopes, large ones too, to see what a megabyte costs.
func BenchmarkOpen(b *testing.B) {
	for _, kind := range []pki.KeyKind{pki.RSA2048, pki.P256, x25519} {
		p := newParty(b, kind)
		k := p.opener(b)
		for name, size := range map[string]int{"1 KiB": 1 << 10, "1 MiB": 1 << 20} {
			for cipher, c := range map[string]Cipher{"CBC": AES256CBC, "GCM": AES256GCM} {
				message := encrypt(b, Envelope{Content: bytes.Repeat([]byte{7}, size), Cipher: c}, Recipient{Certificate: p.certificate})
				b.Run(string(kind)+"/"+cipher+"/"+name, func(b *testing.B) {
					b.ReportAllocs()
					b.SetBytes(int64(size))
					for b.Loop() {
						if _, err := Open(message, OpenOptions{}, k); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
