package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/sys/unix"
)

// A limit is the least work with which a request becomes a certificate: Go's own
// parser and check of the request, a certificate put together from parts that are
// encoded beforehand, and its signature. None of pando's code is in it, so that it
// does not get slower with pando.
type limit struct {
	key     *ecdsa.PrivateKey
	request []byte
	before  []byte // of the to-be-signed certificate: all between serial and subject
	after   []byte // all after the key
}

func newLimit() (*limit, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	subject := pkix.Name{Organization: []string{"Example Metering"}, SerialNumber: "SM-000001"}
	l := &limit{key: key}
	if l.request, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key); err != nil {
		return nil, err
	}
	now := time.Now()
	whole, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: subject, NotBefore: now, NotAfter: now.AddDate(20, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, SubjectKeyId: make([]byte, 20),
		OCSPServer: []string{"http://127.0.0.1:8080/ocsp/issuer"}, CRLDistributionPoints: []string{"http://127.0.0.1:8080/crl/issuer/0.crl"},
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "Limit"}, SubjectKeyId: make([]byte, 20)}, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if l.before, l.after, err = split(whole); err != nil {
		return nil, err
	}
	return l, l.one() // so that a fault shows here
}

// split returns what is the same in each certificate.
func split(certificate []byte) (before, after []byte, err error) {
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, nil, err
	}
	rest := cryptobyte.String(parsed.RawTBSCertificate)
	var fields, skipped cryptobyte.String
	if !rest.ReadASN1(&fields, asn1.SEQUENCE) || !fields.ReadASN1Element(&skipped, asn1.Tag(0).ContextSpecific().Constructed()) ||
		!fields.SkipASN1(asn1.INTEGER) {
		return nil, nil, errors.New("the pattern of the limit cannot be read")
	}
	var algorithm, issuer, validity cryptobyte.String
	if !fields.ReadASN1Element(&algorithm, asn1.SEQUENCE) || !fields.ReadASN1Element(&issuer, asn1.SEQUENCE) ||
		!fields.ReadASN1Element(&validity, asn1.SEQUENCE) || !fields.SkipASN1(asn1.SEQUENCE) || !fields.SkipASN1(asn1.SEQUENCE) {
		return nil, nil, errors.New("the pattern of the limit cannot be read")
	}
	before = append(append(append(before, algorithm...), issuer...), validity...)
	return before, fields, nil
}

// one makes one certificate.
func (l *limit) one() error {
	request, err := x509.ParseCertificateRequest(l.request)
	if err != nil {
		return err
	}
	if err := request.CheckSignature(); err != nil {
		return err
	}
	var serial [20]byte
	rand.Read(serial[:])
	serial[0] = 0x42
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes([]byte{0xa0, 3, 2, 1, 2})
		b.AddASN1(asn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(serial[:]) })
		b.AddBytes(l.before)
		b.AddBytes(request.RawSubject)
		b.AddBytes(request.RawSubjectPublicKeyInfo)
		b.AddBytes(l.after)
	})
	tbs, err := b.Bytes()
	if err != nil {
		return err
	}
	digest := sha256.Sum256(tbs)
	signature, err := ecdsa.SignASN1(rand.Reader, l.key, digest[:])
	if err != nil {
		return err
	}
	var out cryptobyte.Builder
	out.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes([]byte{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}) // ecdsa-with-SHA256
		b.AddASN1BitString(signature)
	})
	_, err = out.Bytes()
	return err
}

// A pace is a rate and what it takes.
type pace struct {
	rate float64 // a second
	cpu  float64 // microseconds each, user and system
}

// measure makes certificates on each of so many cores for d.
func (l *limit) measure(d time.Duration, cores int) (pace, error) { return measure(d, cores, l.one) }

// measure does work over and over on each of so many cores for d.
func measure(d time.Duration, cores int, work func() error) (pace, error) {
	var made atomic.Int64
	var failed atomic.Pointer[error]
	before, err := ownCPU()
	if err != nil {
		return pace{}, err
	}
	begun := time.Now()
	var workers sync.WaitGroup
	for range cores {
		workers.Go(func() {
			for n := 0; n == 0 || time.Since(begun) < d; n++ {
				if err := work(); err != nil {
					failed.Store(&err)
					return
				}
				made.Add(1)
			}
		})
	}
	workers.Wait()
	took := time.Since(begun)
	after, err := ownCPU()
	if e := failed.Load(); e != nil {
		err = *e
	}
	n := float64(made.Load())
	return pace{rate: n / took.Seconds(), cpu: float64((after - before).Nanoseconds()) / 1e3 / n}, err
}

// ownCPU returns the CPU time of this process, user and system.
func ownCPU() (time.Duration, error) {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}
