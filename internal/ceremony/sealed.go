package ceremony

import (
	"bytes"
	"crypto"
	"crypto/fips140"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf8"

	"filippo.io/age"
	"github.com/go-json-experiment/json"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
	"github.com/pando-pki/pando/internal/tbs"
)

// maxSealed bounds a sealed file.
const maxSealed = 64 << 10

// The least lengths of a passphrase in characters, and scrypt's cost as a power
// of two. The usual cost takes about a second and 256 MiB.
const (
	minPassphrase     = 12
	minTestPassphrase = 8
	usualWorkFactor   = 18
	maxWorkFactor     = 22 // age opens no more by itself
)

// A sealedRoot is what a sealed file holds under age (https://age-encryption.org/v1).
type sealedRoot struct {
	Version     int      `json:"version"` // 1
	Mode        pki.Mode `json:"mode"`
	Certificate []byte   `json:"certificate"` // DER
	Key         []byte   `json:"key"`         // PKCS #8
}

// A root is an opened root.
type root struct {
	mode        pki.Mode
	certificate *tbs.Parsed
	key         crypto.Signer
}

// An opener gives what opens a sealed file. The one here is a passphrase; the
// shares of M of N custodians combine to another behind the same door.
type opener interface {
	identity() (age.Identity, error)
}

type passphrase pki.Secret

func (p passphrase) identity() (age.Identity, error) {
	if pki.Secret(p).IsZero() {
		return nil, pki.Errorf(pki.Malformed, "a sealed root is opened by its passphrase, and none was given")
	}
	return age.NewScryptIdentity(pki.Secret(p).Reveal())
}

// checkPassphrase checks a new root's passphrase and the cost of trying it.
func checkPassphrase(p pki.Secret, mode pki.Mode, workFactor int) error {
	least := minPassphrase
	if mode == pki.Test {
		least = minTestPassphrase
	}
	if utf8.RuneCountInString(p.Reveal()) < least {
		return pki.Errorf(pki.Malformed, "the passphrase of a %s root has %d characters at least", mode, least)
	}
	if workFactor < 1 || workFactor > maxWorkFactor || mode == pki.Production && workFactor < usualWorkFactor {
		return pki.Errorf(pki.Malformed, "the work factor of a %s root's passphrase is %d to %d, or 1 to %d for a %s root",
			pki.Production, usualWorkFactor, maxWorkFactor, maxWorkFactor, pki.Test)
	}
	return nil
}

// checkFIPS refuses age where nothing but algorithms that FIPS 140-3 approves may be
// used: scrypt and ChaCha20-Poly1305 are none of them. Some of age's identities would
// not return an error there, but not return at all.
func checkFIPS() error {
	if fips140.Enforced() {
		return pki.Errorf(pki.Unavailable, "a root is sealed by age (scrypt, ChaCha20-Poly1305), which GODEBUG=fips140=only forbids: run the ceremony with GODEBUG=fips140=on")
	}
	return nil
}

// seal returns the sealed file's content.
func (r *root) seal(p pki.Secret, workFactor int) ([]byte, error) {
	pkcs8, err := keystore.MarshalPrivateKey(r.key)
	if err != nil {
		return nil, err
	}
	defer clear(pkcs8)
	content, err := json.Marshal(sealedRoot{Version: 1, Mode: r.mode, Certificate: r.certificate.Raw, Key: pkcs8})
	if err != nil {
		return nil, err
	}
	defer clear(content)
	recipient, err := age.NewScryptRecipient(p.Reveal())
	if err != nil {
		return nil, err
	}
	recipient.SetWorkFactor(workFactor)
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return sealed.Bytes(), nil
}

// openRoot opens a sealed file. What does not open under by is Forbidden.
func openRoot(path string, by opener) (*root, error) {
	if err := checkFIPS(); err != nil {
		return nil, err
	}
	id, err := by.identity()
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, pki.Because(pki.NotFound, err, "%s: there is no such sealed root", path)
	case err != nil:
		return nil, fmt.Errorf("open sealed root: %w", err)
	}
	defer f.Close()
	r, err := unseal(io.LimitReader(f, maxSealed), id)
	if err != nil {
		return nil, fmt.Errorf("open sealed root %s: %w", path, err)
	}
	return r, nil
}

// unseal decrypts a sealed file and reads its content.
func unseal(sealed io.Reader, id age.Identity) (*root, error) {
	plain, err := age.Decrypt(sealed, id)
	if _, wrong := errors.AsType[*age.NoIdentityMatchError](err); wrong {
		return nil, pki.Errorf(pki.Forbidden, "the passphrase does not open the sealed root")
	}
	if err != nil {
		return nil, pki.Because(pki.Malformed, err, "this is not a sealed root, or it is damaged")
	}
	content, err := io.ReadAll(plain)
	defer clear(content)
	if err != nil {
		return nil, pki.Because(pki.Malformed, err, "the sealed root is damaged")
	}
	return parseRoot(content)
}

// parseRoot reads what was sealed.
func parseRoot(content []byte) (*root, error) {
	var s sealedRoot
	err := json.Unmarshal(content, &s, json.RejectUnknownMembers(true))
	defer clear(s.Key)
	if err != nil {
		// The cause may quote what was sealed.
		return nil, pki.Errorf(pki.Malformed, "what is sealed is not a root")
	}
	if s.Version != 1 {
		return nil, pki.Errorf(pki.Malformed, "the sealed root is of version %d; this program knows version 1", s.Version)
	}
	certificate, err := tbs.ParseCertificate(s.Certificate)
	if err != nil {
		return nil, fmt.Errorf("the root's certificate: %w", err)
	}
	signer, err := keystore.ParsePrivateKey(s.Key)
	if err != nil {
		return nil, pki.Errorf(pki.Malformed, "what is sealed with the root's certificate is not a private key")
	}
	public, err := tbs.NewPublicKey(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("the root's private key: %w", err)
	}
	if !bytes.Equal(public.SPKI(), certificate.Key.SPKI()) {
		return nil, pki.Errorf(pki.BadKey, "the sealed private key is not that of the root's certificate")
	}
	certificate.Key = public // how it signs the certificate does not say
	return &root{mode: s.Mode, certificate: certificate, key: signer}, nil
}

// sign signs a to-be-signed structure, whose intent is in the journal, checks
// that the signature verifies over it, and returns the signed structure.
func (r *root) sign(message []byte) ([]byte, error) {
	public, err := tbs.NewPublicKey(r.key.Public())
	if err != nil {
		return nil, err
	}
	alg := public.SignatureAlgorithm()
	signature, err := tbs.Sign(r.key, alg, message)
	if err != nil {
		return nil, fmt.Errorf("sign with the root's key: %w", err)
	}
	if err := public.Verify(alg, message, signature); err != nil {
		return nil, fmt.Errorf("the root's signature does not verify: %w", err)
	}
	return tbs.AppendSigned(nil, message, alg, signature), nil
}
