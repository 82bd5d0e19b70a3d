package simulate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"strings"

	"github.com/pando-pki/pando/internal/pki"
)

// MaxDevices is how many devices one call can make.
const MaxDevices = 10_000_000

// Devices says which devices to make: their ids are the prefix and a number of at
// least six digits.
type Devices struct {
	Prefix string // as "SM-"
	First  int    // number of the first device; 0 is 1
	Count  int    // 1 to MaxDevices
}

// ID returns the id of the device with the given index, from 0.
func (d Devices) ID(index int) pki.DeviceID {
	return pki.DeviceID(fmt.Sprintf("%s%06d", d.Prefix, max(d.First, 1)+index))
}

// check refuses counts and prefixes that make no device ids.
func (d Devices) check() error {
	if d.Count < 1 || d.Count > MaxDevices || d.First < 0 {
		return pki.Errorf(pki.Malformed, "%d devices from %d: there are 1 to %d of them, and the first number is not negative", d.Count, d.First, MaxDevices)
	}
	if strings.ContainsRune(d.Prefix, '/') {
		return pki.Errorf(pki.Malformed, "prefix %.40q: device ids name files here and have no slash", d.Prefix)
	}
	return pki.CheckDevice(d.ID(d.Count - 1))
}

// A device is a device's identity as its maker has it before there is a
// certificate.
type device struct {
	index int
	id    pki.DeviceID
	key   []byte   // PKCS #8
	csr   []byte   // DER
	spki  [32]byte // SHA-256 of the SubjectPublicKeyInfo
}

// newDevice makes a P-256 key, and a request with the device's id as the subject's
// serialNumber.
func newDevice(index int, id pki.DeviceID) (*device, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of %s: %w", id, err)
	}
	d := &device{index: index, id: id}
	if d.key, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, fmt.Errorf("encoding the key of %s: %w", id, err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding the public key of %s: %w", id, err)
	}
	d.spki = sha256.Sum256(spki)
	d.csr, err = x509.CreateCertificateRequest(rand.Reader,
		&x509.CertificateRequest{Subject: pkix.Name{SerialNumber: string(id)}}, key)
	if err != nil {
		return nil, fmt.Errorf("making the request of %s: %w", id, err)
	}
	return d, nil
}
