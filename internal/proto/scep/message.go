package scep

import (
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pando-pki/pando/internal/cms"
	"github.com/pando-pki/pando/internal/der"
	"github.com/pando-pki/pando/internal/pki"
)

// maxMessage bounds a message: the largest request, twice in CMS, with a certificate.
const maxMessage = 128 << 10

// A message is what a client sent (RFC 8894, 3.2): signed attributes around an envelope.
type message struct {
	id    string // of the transaction
	nonce []byte // of the sender; nil where it has none
	kind  messageType

	signer []byte // DER certificate whose key signed the message, once verify says so
	legacy bool   // algorithms or a nonce that only the legacy switch takes

	idDER  []byte // as it came, to be sent back
	signed *cms.SignedData
}

// readMessage reads of a message what an answer to it needs. What it returns is not
// verified.
func readMessage(raw []byte) (*message, error) {
	if len(raw) > maxMessage {
		return nil, pki.Errorf(pki.Malformed, "the message has more than %d octets", maxMessage)
	}
	signed, err := cms.ParseSigned(raw)
	if err != nil {
		return nil, err
	}
	if len(signed.Signers) != 1 {
		return nil, pki.Errorf(pki.Malformed, "the message has %d signers; it has one (RFC 8894, 3.1)", len(signed.Signers))
	}
	m := &message{signed: signed}
	attributes := signed.Signers[0].Attributes
	var ok bool
	m.idDER = attributes.Get(oidTransactionID)
	if m.id, ok = readText(m.idDER); !ok || len(m.id) > maxTransactionID {
		return nil, pki.Errorf(pki.Malformed, "the message has no transactionID of 1 to %d characters in its signed attributes (RFC 8894, 3.2.1.1)", maxTransactionID)
	}
	kind, ok := readText(attributes.Get(oidMessageType))
	if ok {
		m.kind, ok = parseMessageType(kind)
	}
	if !ok {
		return nil, pki.Errorf(pki.Malformed, "the message has no messageType from 0 to 255 in its signed attributes (RFC 8894, 3.2.1.2)")
	}
	if value := attributes.Get(oidSenderNonce); value != nil {
		nonce, ok := der.ReadOnly(value, asn1.OCTET_STRING)
		if !ok || len(nonce) > maxNonce {
			return nil, pki.Errorf(pki.Malformed, "the message's senderNonce is not octets, at most %d (RFC 8894, 3.2.1.5)", maxNonce)
		}
		m.nonce = nonce
	}
	return m, nil
}

// verify checks that the message is one that a client sends, whole: its type, its nonce
// and its signature, by the certificate that it carries. legacy takes SHA-1 and other
// nonces than those of RFC 8894, which is told in m.legacy.
func (m *message) verify(legacy bool) error {
	if err := m.kind.check(); err != nil {
		return err
	}
	if len(m.nonce) != nonceSize {
		if !legacy {
			return pki.Errorf(pki.Malformed, "the message's senderNonce has %d octets; it has %d (RFC 8894, 3.2.1.5)", len(m.nonce), nonceSize)
		}
		m.legacy = true
	}
	if m.signed.ContentType != der.OIDData || len(m.signed.Content) == 0 {
		return pki.Errorf(pki.Malformed, "the message's content is not of the type data, or there is none (RFC 8894, 3.1)")
	}
	var err error
	m.signer, err = m.signed.Verify(0, cms.VerifyOptions{})
	if pki.KindOf(err) == pki.BadKey && legacy {
		m.legacy = true
		m.signer, err = m.signed.Verify(0, cms.VerifyOptions{Legacy: true})
	}
	return err
}

// errOpen is the one answer to content that cannot be opened, to content that makes no
// sense, and to all else that depends on it before a request's own signature shows that it
// is whole. CBC protects nothing from changes, and anybody can sign a changed envelope of
// somebody else as their own message: two answers would decrypt it (Vaudenay, 2002).
func errOpen(cause error) error {
	return pki.Because(pki.BadProof, cause, "what the message carries cannot be opened with the key that it is for, or is not what its type says")
}

// open returns what a verified message carries, and the cipher that an answer is
// encrypted with. legacy takes 3DES, which is told in m.legacy.
func (m *message) open(keys []cms.Key, legacy bool) (content []byte, cipher cms.Cipher, err error) {
	opened, err := cms.Open(m.signed.Content, cms.OpenOptions{Legacy: legacy}, keys...)
	switch {
	case pki.KindOf(err) == pki.BadProof:
		return nil, 0, errOpen(err)
	case err != nil:
		return nil, 0, err
	case opened.ContentType != der.OIDData: // RFC 8894, 3.2.2
		return nil, 0, errOpen(nil)
	case opened.Cipher == 0:
		m.legacy = true
		return opened.Content, cms.AES128CBC, nil // RFC 8894, 3.5.2, and never DES
	}
	return opened.Content, opened.Cipher, nil
}
