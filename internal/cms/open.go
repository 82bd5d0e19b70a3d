package cms

import (
	"crypto"

	"github.com/pando-pki/pando/internal/pki"
)

// A Key opens envelopes: a certificate with its private key, or a password.
type Key struct {
	Certificate []byte           // DER; says which recipient's key it is
	Decrypter   crypto.Decrypter // of an RSA key
	Agreer      KeyAgreer        // of a key on P-256, P-384, P-521 or X25519
	Password    pki.Secret       // in place of the three above

	iterations int // of PBKDF2, spent on a message so far
}

// OpenOptions are how envelopes are opened.
type OpenOptions struct {
	// Legacy takes 3DES-CBC and DES-CBC, and the key agreement with SHA-1, as clients from
	// before 2015 and OpenSSL's defaults use them. DES hides nothing from anybody who wants
	// to know: it is there for clients that choose nothing else.
	Legacy bool
}

// An Opened is what was in an envelope.
type Opened struct {
	ContentType string // dotted
	Content     []byte // the caller clears it where it is a secret
	Cipher      Cipher // what a reply may be encrypted with; 0 where that was a legacy one
}

// Open opens the ContentInfo of an EnvelopedData or AuthEnvelopedData with the first of
// the keys that the message is for.
//
// What cannot be opened is one BadProof error, whatever the reason: a key that does not
// decrypt becomes a random one, and the content is tried with it. With CBC wrong content
// passes for right once in some hundreds of times: a caller answers content that makes no
// sense as it answers that error, else its answers tell what the random key was to hide.
func Open(message []byte, o OpenOptions, keys ...Key) (*Opened, error) {
	e, err := parseEnvelope(message)
	if err != nil {
		return nil, err
	}
	if e.cipher.legacy() && !o.Legacy {
		return nil, pki.Errorf(pki.BadKey, "the message is encrypted with DES or 3DES, which is not taken here; use AES")
	}
	size := ciphers[e.cipher].keySize
	key := newSecret(size)
	defer clear(key)
	recovered, err := e.recoverKey(size, o.Legacy, keys)
	if err != nil {
		return nil, err
	}
	if len(recovered) == size {
		copy(key, recovered)
	}
	clear(recovered)
	content := e.open(key)
	if content == nil {
		return nil, pki.Errorf(pki.BadProof, "the message cannot be opened with the key that it is for")
	}
	opened := &Opened{ContentType: e.contentType, Content: content, Cipher: e.cipher}
	if e.cipher.legacy() {
		opened.Cipher = 0
	}
	return opened, nil
}

// ErrRecipient is the error of Open for a message that is for none of the keys, as everybody
// can see of it.
var ErrRecipient = pki.Errorf(pki.BadProof, "the message is not encrypted to a key or password that is known here")

// recoverKey returns the content's key of the first recipient that one of keys is for; of
// several with a password, of the first that it fits. Nil is a key that does not decrypt,
// an error what everybody can see of the message: whom it is for, and by which algorithms.
func (e *envelope) recoverKey(size int, legacy bool, keys []Key) (secret, error) {
	found := false
	for _, k := range keys {
		p, ok := readParty(k.Certificate)
		for i := range e.recipients {
			r := &e.recipients[i]
			if k.Password.IsZero() && ok && r.name.is(&p) {
				return r.recover(r, &k, size, legacy)
			}
			if !k.Password.IsZero() && r.derivation != nil {
				found = true
				if key, err := r.recover(r, &k, size, legacy); key != nil || err != nil {
					return key, err
				}
			}
		}
	}
	if !found {
		return nil, ErrRecipient
	}
	return nil, nil
}
