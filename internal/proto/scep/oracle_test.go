package scep

import (
	"bytes"
	"crypto/x509"
	"testing"

	"github.com/smallstep/pkcs7"
	oracle "github.com/smallstep/scep"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/pki"
)

func parse(t testing.TB, certificate []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(certificate)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fromOracle returns a PKCSReq that smallstep/scep makes, with SHA-256 and the cipher, both
// of which its module keeps in variables.
func fromOracle(t testing.TB, device, ra party, csr []byte, cipher int) []byte {
	t.Helper()
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		t.Fatal(err)
	}
	before := pkcs7.ContentEncryptionAlgorithm
	pkcs7.ContentEncryptionAlgorithm = cipher
	defer func() { pkcs7.ContentEncryptionAlgorithm = before }()
	if err := pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA1) }()
	message, err := oracle.NewCSRRequest(request, &oracle.PKIMessage{
		MessageType: oracle.PKCSReq, Recipients: []*x509.Certificate{parse(t, ra.certificate)}, SignerKey: device.key, SignerCert: parse(t, device.certificate),
	})
	if err != nil {
		t.Fatal(err)
	}
	return message.Raw
}

// TestOracle exchanges messages with smallstep/scep.
func TestOracle(t *testing.T) {
	ra, device := newParty(t, newRSA(t, "ra"), "RA"), newParty(t, newRSA(t, "device"), "device")
	csr := newCSR(t, device.key, "device", "once")
	raw := fromOracle(t, device, ra, csr, pkcs7.EncryptionAlgorithmAES256CBC)
	m, err := readMessage(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.verify(false); err != nil {
		t.Fatal(err)
	}
	content, cipher, err := m.open([]cms.Key{ra.recipient()}, false)
	if err != nil || !bytes.Equal(content, csr) || cipher != cms.AES256CBC {
		t.Fatalf("%x, to be answered with %d: %v", content, cipher, err)
	}
	envelope, err := cms.Encrypt(cms.Envelope{Content: certsOnly(t, ra.certificate), Cipher: cipher}, cms.Recipient{Certificate: m.signer})
	if err != nil {
		t.Fatal(err)
	}
	answered, err := ra.signer().sign(m, &reply{status: statusSuccess}, envelope)
	if err != nil {
		t.Fatal(err)
	}
	got, err := oracle.ParsePKIMessage(answered)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.DecryptPKIEnvelope(parse(t, device.certificate), device.key); err != nil {
		t.Fatal(err)
	}
	if got.PKIStatus != oracle.SUCCESS || string(got.TransactionID) != m.id || !bytes.Equal(got.RecipientNonce, m.nonce) || !bytes.Equal(got.Certificate.Raw, ra.certificate) {
		t.Errorf("%+v", got)
	}
	failed, err := ra.signer().sign(m, &reply{status: statusFailure, failInfo: badMessageCheck, text: "no"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err = oracle.ParsePKIMessage(failed); err != nil || got.PKIStatus != oracle.FAILURE || got.FailInfo != oracle.BadMessageCheck {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestOracleDES: DES, which smallstep/scep chooses where nothing is said, is taken with the
// legacy switch alone.
func TestOracleDES(t *testing.T) {
	ra, device := newParty(t, newRSA(t, "ra"), "RA"), newParty(t, newRSA(t, "device"), "device")
	m, err := readMessage(fromOracle(t, device, ra, newCSR(t, device.key, "device", ""), pkcs7.EncryptionAlgorithmDESCBC))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.verify(false); err != nil {
		t.Fatal(err)
	}
	_, _, err = m.open([]cms.Key{ra.recipient()}, false)
	wantKind(t, err, pki.BadKey)
	if _, cipher, err := m.open([]cms.Key{ra.recipient()}, true); err != nil || cipher != cms.AES128CBC || !m.legacy {
		t.Errorf("to be answered with %d, legacy %v: %v", cipher, m.legacy, err)
	}
}
