package trust_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/trust"
)

// A wideKey is an RSA key of any size. It has many primes, since two of that size are
// found too slowly, and signs by PKCS #1 v1.5 with SHA-256.
type wideKey struct {
	public rsa.PublicKey
	d      *big.Int
}

func newWideKey(t *testing.T, bits, exponent int) *wideKey {
	t.Helper()
	one, n, phi, e := big.NewInt(1), big.NewInt(1), big.NewInt(1), big.NewInt(int64(exponent))
	for try := 0; n.BitLen() < bits; try++ {
		left := bits - n.BitLen()
		last, size := left <= 1024, 512
		if last { // which of two sizes makes the length exact depends on the others
			size = left + try%2
		}
		p, err := rand.Prime(rand.Reader, size)
		if err != nil {
			t.Fatal(err)
		}
		less, next := new(big.Int).Sub(p, one), new(big.Int).Mul(n, p)
		if last && next.BitLen() != bits || new(big.Int).GCD(nil, nil, less, e).Cmp(one) != 0 {
			continue
		}
		n, phi = next, phi.Mul(phi, less)
	}
	return &wideKey{rsa.PublicKey{N: n, E: exponent}, new(big.Int).ModInverse(e, phi)}
}

func (k *wideKey) Public() crypto.PublicKey { return &k.public }

func (k *wideKey) Sign(_ io.Reader, sum []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(sum) != sha256.Size {
		return nil, errors.New("not SHA-256")
	}
	info := append([]byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}, sum...)
	size := k.public.Size()
	padded := slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-len(info)-3), []byte{0}, info)
	m := new(big.Int).SetBytes(padded)
	return m.Exp(m, k.d, k.public.N).FillBytes(make([]byte, size)), nil
}

// TestHeavyCertificates: a certificate that costs too much to verify by proves nobody,
// and is none of those that lead to an anchor. crypto/x509 takes each of these chains,
// and so would do the work for a key of any size.
func TestHeavyCertificates(t *testing.T) {
	h := newHouse(t)
	h.issuer = &pki.Issuer{ID: "issuer", Tenant: "acme", Certificate: pandotest.NewRoot(t, "Another", time.Now().Add(-time.Hour)).Certificate.Raw}
	long := pkix.Extension{Id: []int{1, 3, 6, 1, 4, 1, 32473, 1}, Value: make([]byte, 16<<10)}
	serial := int64(0)
	template := func(name string, extra ...pkix.Extension) *x509.Certificate {
		serial++
		return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), ExtraExtensions: extra}
	}
	authority := func(key crypto.Signer, extra ...pkix.Extension) *pandotest.CA {
		c := template("Line", extra...)
		c.BasicConstraintsValid, c.IsCA, c.KeyUsage = true, true, x509.KeyUsageCertSign
		return &pandotest.CA{Certificate: pandotest.Parse(t, h.ca.Sign(t, c, key.Public())), Key: key}
	}
	device := func(by *pandotest.CA, key crypto.PublicKey, extra ...pkix.Extension) *x509.Certificate {
		c := template("SM-1", extra...)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		return pandotest.Parse(t, by.Sign(t, c, key))
	}
	most, more := newWideKey(t, 8192, 65537), newWideKey(t, 8193, 65537)
	p256 := h.key.Public()
	second, third := authority(newWideKey(t, 8192, 65537)), authority(newWideKey(t, 2048, 65537))
	last := authority(pandotest.Key(t, pki.P256))
	usual, heavy, tall := authority(most), authority(more), authority(pandotest.Key(t, pki.P256), long)
	three := authority(newWideKey(t, 2048, 3))
	for _, test := range []struct {
		name      string
		presented []*x509.Certificate
		used      int // how many of them are; 0 is that they prove nobody
	}{
		{"an authority of 8192 bits", []*x509.Certificate{device(usual, p256), usual.Certificate}, 2},
		{"an authority of 8193 bits", []*x509.Certificate{device(heavy, p256), heavy.Certificate}, 0},
		{"an authority with the exponent 3", []*x509.Certificate{device(three, p256), three.Certificate}, 2},
		{"an authority of 16 kB", []*x509.Certificate{device(tall, p256), tall.Certificate}, 0},
		{"a device of 8192 bits", []*x509.Certificate{device(h.ca, most.Public())}, 1},
		{"a device of 8193 bits", []*x509.Certificate{device(h.ca, more.Public())}, 0},
		{"a device of 16 kB", []*x509.Certificate{device(h.ca, p256, long)}, 0},
		{"one of 8193 bits that leads nowhere", []*x509.Certificate{device(h.ca, p256), heavy.Certificate}, 1},
		{"one of 8193 bits before another", []*x509.Certificate{device(usual, p256), heavy.Certificate, usual.Certificate}, 2},
		{"three authorities that are too much together", []*x509.Certificate{device(third, p256), usual.Certificate, second.Certificate, third.Certificate}, 0},
		{"three, of which the last is too much", []*x509.Certificate{device(usual, p256), usual.Certificate, second.Certificate, third.Certificate}, 3},
		{"one without RSA after what is too much", []*x509.Certificate{device(last, p256), usual.Certificate, second.Certificate, third.Certificate, last.Certificate}, 4},
	} {
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(h.ca.Certificate)
		for _, c := range test.presented[1:] {
			between.AddCert(c)
		}
		if _, err := test.presented[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Fatalf("%s: crypto/x509 refuses the chain itself: %v", test.name, err)
		}
		sent := slices.Clone(test.presented)
		who, err := trust.New(trust.Config{Store: h.fakeStore, Now: time.Now}).Authenticate(t.Context(), test.presented, "")
		if !slices.Equal(sent, test.presented) {
			t.Errorf("%s: what was presented is changed", test.name)
		}
		if test.used == 0 {
			if pki.KindOf(err) != pki.Unauthenticated {
				t.Errorf("%s: %+v, %v", test.name, who, err)
			}
			continue
		}
		var want [][]byte
		for _, c := range test.presented {
			if c != heavy.Certificate && c != third.Certificate {
				want = append(want, c.Raw)
			}
		}
		if err != nil || who.Device != "SM-1" || len(want) != test.used {
			t.Errorf("%s: %+v, %v", test.name, who, err)
		}
		if diff := cmp.Diff(want, who.Presented); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}
