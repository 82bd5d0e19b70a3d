package sqlstore

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/pando-pki/pando/internal/pki"
)

// newCertificates returns n certificates of one issuer and profile, as DER.
func newCertificates(t testing.TB, n int) [][]byte {
	t.Helper()
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent := &x509.Certificate{Subject: pkix.Name{Organization: []string{"Example Meters Ltd"}, CommonName: "Manufacturing CA"}}
	now := time.Now()
	all := make([][]byte, n)
	for i := range all {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		serial := pki.NewSerial(pki.SerialLong, now)
		ski := make([]byte, 20)
		rand.Read(ski)
		all[i], err = x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: new(big.Int).SetBytes(serial[:]), NotBefore: now, NotAfter: now.AddDate(20, 0, 0),
			Subject:      pkix.Name{Organization: []string{"Example Meters Ltd"}, SerialNumber: fmt.Sprintf("MTR-%08d", i)},
			SubjectKeyId: ski, AuthorityKeyId: []byte("the same for all of them"), KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			OCSPServer:            []string{"http://pki.example.com/ocsp/0123456789abcdef0123456789"},
			IssuingCertificateURL: []string{"http://pki.example.com/ca/0123456789abcdef0123456789.cer"},
			CRLDistributionPoints: []string{fmt.Sprintf("http://pki.example.com/crl/0123456789abcdef0123456789/%d.crl", i%128)},
		}, parent, &key.PublicKey, ca)
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func pack(r *reference, der []byte) []byte { return appendPacked(nil, r, der, sha256.Sum256(der)) }

func TestDeltaOfCertificates(t *testing.T) {
	certs := newCertificates(t, 100)
	r := newReference(7, 1, 2, certs[0])
	size, raw := 0, 0
	for _, der := range certs {
		packed := pack(r, der)
		got, err := unpack(packed, func(num int64) (*reference, error) {
			if num != 7 {
				t.Errorf("reference %d is asked for", num)
			}
			return r, nil
		})
		if err != nil || !bytes.Equal(got, der) {
			t.Fatalf("unpacked differs: %v", err)
		}
		size, raw = size+len(packed), raw+len(der)
	}
	// The floor is key, signature, serial, key identifier and device: about 185.
	if mean := size / len(certs); mean > 260 {
		t.Errorf("a packed certificate has %d bytes of %d", mean, raw/len(certs))
	}
}

func TestDelta(t *testing.T) {
	random := make([]byte, maxDelta)
	rand.Read(random)
	long := bytes.Repeat([]byte("abcdefgh"), 1000)
	for _, test := range []struct {
		name              string
		reference, target []byte
	}{
		{"empty", nil, nil},
		{"empty reference", nil, []byte("target")},
		{"empty target", []byte("reference"), nil},
		{"equal", long, long},
		{"longest", random, random},
		{"nothing in common", random[:500], random[500:1000]},
		{"begins later", long, long[3:]},
		{"ends later", long[:500], long},
		{"something put in", []byte("one two three four"), []byte("one two and a half three four")},
		{"something left out", []byte("one two and a half three four"), []byte("one two three four")},
		{"something moved", random[:200], append(append([]byte{}, random[100:200]...), random[:100]...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newReference(1, 1, 1, test.reference)
			got, err := r.apply(r.appendDelta(nil, test.target))
			if err != nil || !bytes.Equal(got, test.target) {
				t.Errorf("%d bytes became %d, %v", len(test.target), len(got), err)
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	r := newReference(1, 1, 1, []byte("0123456789"))
	for _, test := range []struct {
		name  string
		delta []byte
	}{
		{"nothing", nil},
		{"too long a target", []byte{0x80, 0x80, 0x04}},
		{"number without end", bytes.Repeat([]byte{0xff}, 11)},
		{"literal beyond the target", []byte{2, 3, 'a', 'b', 'c'}},
		{"literal beyond the delta", []byte{3, 3, 'a', 'b'}},
		{"copy of nothing", []byte{3, 1, 'a', 0, 0, 2, 'b', 'c'}},
		{"copy beyond the target", []byte{3, 0, 4, 0}},
		{"copy beyond the reference", []byte{11, 0, 11, 0}},
		{"copy before the reference", []byte{3, 0, 3, 1}},
		{"copy from far behind", append([]byte{3, 0, 3}, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)},
		{"more than the target", []byte{3, 0, 3, 0, 9}},
		{"ends early", []byte{3}},
	} {
		if got, err := r.apply(test.delta); err == nil {
			t.Errorf("%s: gave %q", test.name, got)
		}
	}
}

func TestPack(t *testing.T) {
	der := bytes.Repeat([]byte("certificate "), 10)
	r := newReference(300, 1, 1, der)
	none := func(int64) (*reference, error) { return nil, errDamaged }
	some := func(int64) (*reference, error) { return r, nil }
	noise := make([]byte, 100)
	rand.Read(noise)
	for _, test := range []struct {
		name  string
		ref   *reference
		der   []byte
		codec byte
	}{
		{"no reference", nil, der, packedRaw},
		{"delta", r, der, packedDelta},
		{"delta that saves nothing", r, noise, packedRaw},
		{"too long for a delta", r, make([]byte, maxDelta+1), packedRaw},
	} {
		packed := pack(test.ref, test.der)
		got, err := unpack(packed, some)
		if packed[0] != test.codec || err != nil || !bytes.Equal(got, test.der) {
			t.Errorf("%s: codec %d, %v", test.name, packed[0], err)
		}
	}
	for _, packed := range [][]byte{pack(nil, der), pack(r, der)} {
		for i := range packed {
			for bit := range 8 {
				damaged := bytes.Clone(packed)
				damaged[i] ^= 1 << bit
				if got, err := unpack(damaged, some); err == nil && !bytes.Equal(got, der) {
					t.Fatalf("byte %d, bit %d: other bytes came back", i, bit)
				} else if err != nil && !errors.Is(err, errDamaged) {
					t.Fatalf("byte %d, bit %d: %v", i, bit, err)
				}
			}
			if _, err := unpack(packed[:i], some); !errors.Is(err, errDamaged) {
				t.Fatalf("cut at %d: %v", i, err)
			}
		}
	}
	if _, err := unpack(pack(r, der), none); !errors.Is(err, errDamaged) {
		t.Errorf("without its reference: %v", err)
	}
}

func FuzzApply(f *testing.F) {
	certs := newCertificates(f, 2)
	r := newReference(1, 1, 1, certs[0])
	f.Add(certs[0], r.appendDelta(nil, certs[1]))
	f.Add([]byte("0123456789"), []byte{3, 1, 'a', 2, 0})
	f.Fuzz(func(t *testing.T, der, delta []byte) {
		if len(der) > maxDelta {
			return
		}
		got, err := newReference(1, 1, 1, der).apply(delta)
		if err == nil && len(got) > maxDelta {
			t.Errorf("%d bytes", len(got))
		}
	})
}

func FuzzPack(f *testing.F) {
	certs := newCertificates(f, 2)
	f.Add(certs[0], certs[1])
	f.Add([]byte{}, []byte("target"))
	f.Fuzz(func(t *testing.T, der, target []byte) {
		if len(der) > maxDelta {
			return
		}
		r := newReference(1, 1, 1, der)
		got, err := unpack(pack(r, target), func(int64) (*reference, error) { return r, nil })
		if err != nil || !bytes.Equal(got, target) {
			t.Errorf("%x against %x: %v", target, der, err)
		}
	})
}

func BenchmarkPack(b *testing.B) {
	certs := newCertificates(b, 2)
	r := newReference(1, 1, 1, certs[0])
	for b.Loop() {
		pack(r, certs[1])
	}
}
