package simulate

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/pando-pki/pando/internal/pki"
)

// A verifier checks certificates as a meter maker does before injecting them.
type verifier struct {
	roots         *x509.CertPool
	intermediates *x509.CertPool
	now           pki.Clock

	// issuer is the pool of the one certificate that the last certificate was
	// found to chain to the root by; nil at first. A chain is verified to the
	// root once, and each later certificate to its issuer, which is as strict and
	// saves a P-384 verification each time.
	issuer atomic.Pointer[x509.CertPool]
}

// newVerifier returns a verifier for certificates below root. chain is PEM: the
// issuer's certificate and those above it; the root among them proves nothing.
func newVerifier(root *x509.Certificate, chain []byte, now pki.Clock) (*verifier, error) {
	v := &verifier{roots: x509.NewCertPool(), intermediates: x509.NewCertPool(), now: now}
	v.roots.AddCert(root)
	issuer, err := certificateFromPEM(chain)
	if err != nil {
		return nil, fmt.Errorf("the authority's chain: %w", err)
	}
	v.intermediates.AppendCertsFromPEM(chain)
	_, err = issuer.Verify(x509.VerifyOptions{Roots: v.roots, Intermediates: v.intermediates,
		CurrentTime: now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, fmt.Errorf("the authority does not chain to the root given: %w", err)
	}
	return v, nil
}

// verify checks a device's certificate: the key is its own, the names are its id,
// the purpose is client authentication, the time is right, and it chains to the
// root.
func (v *verifier) verify(text []byte, id pki.DeviceID, spki [32]byte) (*x509.Certificate, error) {
	cert, err := certificateFromPEM(text)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(cert.RawSubjectPublicKeyInfo) != spki {
		return nil, errors.New("it is for another key")
	}
	if cert.Subject.SerialNumber != string(id) {
		return nil, fmt.Errorf("its subject's serialNumber is %.40q", cert.Subject.SerialNumber)
	}
	if err := checkHardwareName(cert, id); err != nil {
		return nil, err
	}
	if cert.IsCA || cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, errors.New("it is a CA's, or not for signatures")
	}
	return cert, v.verifyChain(cert)
}

// verifyChain verifies the signatures and constraints up to the root.
func (v *verifier) verifyChain(cert *x509.Certificate) error {
	opts := x509.VerifyOptions{CurrentTime: v.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if opts.Roots = v.issuer.Load(); opts.Roots != nil {
		if _, err := cert.Verify(opts); err == nil {
			return nil
		}
		// The issuer may have changed within the batch.
	}
	opts.Roots, opts.Intermediates = v.roots, v.intermediates
	chains, err := cert.Verify(opts)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(chains[0][1])
	v.issuer.Store(pool)
	return nil
}

var (
	oidSubjectAltName     = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidHardwareModuleName = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 4} // RFC 4108, 5
)

// otherName is a GeneralName of that kind, RFC 5280, 4.2.1.6.
type otherName struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue `asn1:"explicit,tag:0"`
}

// hardwareModuleName is RFC 4108, 5.
type hardwareModuleName struct {
	Type   asn1.ObjectIdentifier
	Serial []byte
}

// checkHardwareName checks that the certificate's one alternative name is a
// hardwareModuleName with the device's id. As its content is checked here, it may
// be critical: crypto/x509 knows no otherName.
func checkHardwareName(cert *x509.Certificate, id pki.DeviceID) error {
	for _, ext := range cert.Extensions {
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		serial, err := hardwareSerial(ext.Value)
		if err != nil {
			return err
		}
		if !bytes.Equal(serial, []byte(id)) {
			return fmt.Errorf("its hardwareModuleName is %.40q", serial)
		}
		cert.UnhandledCriticalExtensions = slices.DeleteFunc(cert.UnhandledCriticalExtensions, oidSubjectAltName.Equal)
		return nil
	}
	return errors.New("it has no subjectAltName")
}

// hardwareSerial returns hwSerialNum of GeneralNames that are one
// hardwareModuleName.
func hardwareSerial(names []byte) ([]byte, error) {
	var (
		sequence []asn1.RawValue
		other    otherName
		hardware hardwareModuleName
	)
	if rest, err := asn1.Unmarshal(names, &sequence); err != nil || len(rest) > 0 || len(sequence) != 1 {
		return nil, errors.New("its subjectAltName is not one name")
	}
	if rest, err := asn1.UnmarshalWithParams(sequence[0].FullBytes, &other, "tag:0"); err != nil || len(rest) > 0 || !other.Type.Equal(oidHardwareModuleName) {
		return nil, errors.New("its subjectAltName is not a hardwareModuleName")
	}
	if rest, err := asn1.Unmarshal(other.Value.Bytes, &hardware); err != nil || len(rest) > 0 {
		return nil, errors.New("its hardwareModuleName is malformed")
	}
	return hardware.Serial, nil
}

// certificateFromPEM reads the first certificate of text.
func certificateFromPEM(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("it is not a PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
