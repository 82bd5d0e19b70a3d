package est

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"net/http"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/enrolauth"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// A sealing is how a key that is made here is encrypted for its requester.
type sealing struct {
	cipher    cms.Cipher
	recipient cms.Recipient
}

// seal returns PKCS #8 as a CMS EnvelopedData, or an AuthEnvelopedData with GCM.
func (s *sealing) seal(pkcs8 []byte) ([]byte, error) {
	return cms.Encrypt(cms.Envelope{Content: pkcs8, Cipher: s.cipher}, s.recipient)
}

// sealingOf reads from a request for whom the key is to be encrypted (RFC 7030, 4.4.1);
// nil where TLS is all that is asked for. A key or a secret that whoever asks has not
// just proved is refused: it could be another's.
func sealingOf(r *http.Request, request []byte) (*sealing, error) {
	csr, err := tbs.ParseCSR(request)
	if err != nil {
		return nil, err
	}
	certificate, err := identifier(csr, der.OIDAsymmetricDecryptKeyIdentifier)
	if err != nil {
		return nil, err
	}
	secret, err := identifier(csr, der.OIDDecryptKeyIdentifier)
	if err != nil {
		return nil, err
	}
	s := new(sealing)
	switch {
	case certificate != nil && secret != nil:
		return nil, pki.Errorf(pki.Malformed, "the request names a key and a secret to encrypt for: it is one, by AsymmetricDecryptKeyIdentifier or DecryptKeyIdentifier")
	case certificate != nil:
		err = s.toCertificate(r, certificate)
	case secret != nil:
		err = s.toSecret(r, secret)
	default:
		return nil, nil
	}
	if err == nil {
		err = s.readCapabilities(csr)
	}
	if err == nil && certificate != nil { // a key that cannot be encrypted to shows before anything is issued
		_, err = s.seal(nil)
	}
	return s, err
}

// identifier returns the octets of an attribute that names a key; nil where it is absent.
func identifier(csr *tbs.CSR, oid string) ([]byte, error) {
	value, err := csr.Attribute(oid)
	if value == nil || err != nil {
		return nil, err
	}
	octets, ok := der.ReadOnly(value, asn1.OCTET_STRING)
	if !ok || len(octets) == 0 {
		return nil, pki.Errorf(pki.Malformed, "the request's attribute %s is not an OCTET STRING that names a key", oid)
	}
	return octets, nil
}

// toCertificate encrypts for the key of the client certificate, which TLS has proved.
func (s *sealing) toCertificate(r *http.Request, keyID []byte) error {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return pki.Errorf(pki.PolicyRefused, "a key is encrypted for the key of a client certificate (AsymmetricDecryptKeyIdentifier), and you have shown none")
	}
	c := r.TLS.PeerCertificates[0]
	public, err := tbs.ParsePublicKey(c.RawSubjectPublicKeyInfo)
	if err != nil {
		return err
	}
	if !bytes.Equal(keyID, c.SubjectKeyId) && !bytes.Equal(keyID, public.KeyID()) {
		return pki.Errorf(pki.PolicyRefused, "AsymmetricDecryptKeyIdentifier names another key than that of your client certificate: it is its subjectKeyIdentifier")
	}
	var needs x509.KeyUsage
	switch c.PublicKey.(type) {
	case *rsa.PublicKey:
		needs = x509.KeyUsageKeyEncipherment
	case *ecdsa.PublicKey:
		needs = x509.KeyUsageKeyAgreement
	}
	if c.KeyUsage != 0 && c.KeyUsage&needs == 0 {
		return pki.Errorf(pki.PolicyRefused, "the key usage of your client certificate does not let a key be encrypted for it: an RSA key needs keyEncipherment, another keyAgreement (RFC 7030, 4.4.1.2)")
	}
	s.recipient = cms.Recipient{Certificate: c.Raw, KeyID: c.SubjectKeyId != nil}
	return nil
}

// toSecret encrypts under the secret that the request was sent with, which it names by
// the user. Its key is derived when nothing else is wrong (derive).
func (s *sealing) toSecret(r *http.Request, name []byte) error {
	user, secret, ok := r.BasicAuth()
	if !ok || secret == "" {
		return pki.Errorf(pki.PolicyRefused, "a key is encrypted under the secret that a request is sent with (DecryptKeyIdentifier, HTTP Basic), and yours came without")
	}
	if string(name) != user {
		return pki.Errorf(pki.PolicyRefused, "DecryptKeyIdentifier names another secret than the one that your request was sent with: it is the user of HTTP Basic")
	}
	s.recipient = cms.Recipient{Password: pki.NewSecret(secret)}
	return nil
}

// derive makes the key of a secret that was proved, before anything is issued. What nobody
// guesses needs no slow derivation; one that somebody chose does, and that takes its turn.
func (s *Server) derive(ctx context.Context, label string, sealed *sealing) error {
	secret, iterations := sealed.recipient.Password, cms.RandomIterations
	if secret.IsZero() {
		return nil
	}
	if !enrolauth.IsRandom(secret) {
		tenant, _, _ := strings.Cut(label, ".")
		leave, err := s.cfg.Limits.Slow(ctx, pki.TenantID(tenant))
		if err != nil {
			return err
		}
		defer leave()
		iterations = cms.PasswordIterations
	}
	key, err := cms.DerivePassword(secret, iterations)
	sealed.recipient = cms.Recipient{Derived: key}
	return err
}

// contentCiphers are those that a client can say that it reads.
var contentCiphers = map[string]cms.Cipher{
	der.OIDAES128CBC: cms.AES128CBC, der.OIDAES192CBC: cms.AES192CBC, der.OIDAES256CBC: cms.AES256CBC,
	der.OIDAES128GCM: cms.AES128GCM, der.OIDAES192GCM: cms.AES192GCM, der.OIDAES256GCM: cms.AES256GCM,
}

// maxCapabilities bounds what a client says that it reads.
const maxCapabilities = 32

// readCapabilities takes the first cipher that the client prefers (RFC 8551, 2.5.2), and
// RSAES-OAEP where it reads that. RFC 7030 wants the attribute in each such request: one
// without gets AES-256-CBC, which all read.
func (s *sealing) readCapabilities(csr *tbs.CSR) error {
	s.cipher = cms.AES256CBC
	value, err := csr.Attribute(der.OIDSMIMECapabilities)
	if value == nil || err != nil {
		return err
	}
	list, ok := der.ReadOnly(value, asn1.SEQUENCE)
	found := cms.Cipher(0)
	for n := 0; ok && !list.Empty(); n++ {
		var capability cryptobyte.String
		var oid string
		if ok = n < maxCapabilities && list.ReadASN1(&capability, asn1.SEQUENCE) && der.ReadOID(&capability, &oid); !ok {
			break
		}
		if c := contentCiphers[oid]; found == 0 {
			found = c
		}
		s.recipient.OAEP = s.recipient.OAEP || oid == der.OIDRSAOAEP && s.recipient.Certificate != nil
	}
	switch {
	case !ok:
		return pki.Errorf(pki.Malformed, "the request's SMIMECapabilities are not a sequence of at most %d capabilities", maxCapabilities)
	case found == 0:
		return pki.Errorf(pki.PolicyRefused, "the request's SMIMECapabilities have no cipher that keys are encrypted with here: AES-128, -192 or -256 with CBC or GCM")
	}
	s.cipher = found
	return nil
}
