package soft

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/pando-pki/pando/internal/keystore"
	"github.com/pando-pki/pando/internal/pki"
)

// kekSize is the length of a key-encryption key in bytes.
const kekSize = 32

// Labels of what is derived from a key-encryption key with HKDF-SHA-256
// (RFC 5869), so that its id says nothing about the key that seals.
const (
	kekIDLabel   = "pando key-encryption key: id, v1"
	kekSealLabel = "pando key-encryption key: AES-256-GCM, v1"
	cursorLabel  = "pando cursors of lists, v1"
	macLabel     = "pando hashes of what can be guessed, v1"
)

// A KEK is a key-encryption key. It prints as [secret].
type KEK struct {
	id      string
	cursors [32]byte
	macs    [32]byte
	aead    cipher.AEAD // AES-256-GCM with a random nonce in front of each ciphertext
}

// ID returns the key's id, 16 hexadecimal digits. It is derived from the key and
// not secret.
func (k *KEK) ID() string { return k.id }

// CursorKey returns a key for the cursors of lists, which all nodes that have the
// key-encryption key have; it says nothing about the keys that seal.
func (k *KEK) CursorKey() [32]byte { return k.cursors }

// MAC returns a hash of a text that can be guessed, which nobody can try without the key;
// label says what it is for.
func (k *KEK) MAC(label string, text []byte) []byte {
	h := hmac.New(sha256.New, k.macs[:])
	h.Write([]byte(label + "\x00"))
	h.Write(text)
	return h.Sum(nil)
}

// textLabel begins what a text is sealed for, apart from keys.
const textLabel = "pando sealed text v1\x00"

// Seal seals a text that is not to stand in the store as it is; label says what it is for.
func (k *KEK) Seal(label string, plain []byte) []byte {
	return k.aead.Seal(nil, nil, plain, []byte(textLabel+label))
}

// Unseal opens what Seal sealed with the same label. Under another key, or changed, it is
// Internal.
func (k *KEK) Unseal(label string, sealed []byte) ([]byte, error) {
	plain, err := k.aead.Open(nil, nil, sealed, []byte(textLabel+label))
	if err != nil {
		return nil, fmt.Errorf("a sealed text does not open under the key-encryption key %s: it was changed, or sealed under another", k.id)
	}
	return plain, nil
}

// String returns "[secret]".
func (*KEK) String() string { return "[secret]" }

// Format prints "[secret]" for every verb.
func (*KEK) Format(f fmt.State, _ rune) { io.WriteString(f, "[secret]") }

// LoadKEK reads a key-encryption key, base64 of 32 bytes, from "file:PATH" or
// "env:NAME". A file must be regular and give no access to group and others.
func LoadKEK(source string) (*KEK, error) {
	from, name, _ := strings.Cut(source, ":")
	var text []byte
	switch {
	case from == "file" && name != "":
		b, err := readSecretFile(name)
		if err != nil {
			return nil, err
		}
		text = b
	case from == "env" && name != "":
		v, ok := os.LookupEnv(name)
		if !ok {
			return nil, pki.Errorf(pki.NotFound, "the key-encryption key's environment variable %s is not set", name)
		}
		text = []byte(v)
	default:
		// What was given is not repeated: it may be the key itself.
		return nil, pki.Errorf(pki.Malformed, "the key-encryption key comes from file:PATH or env:NAME")
	}
	defer clear(text)
	return parseKEK(text, source)
}

// CreateKEK makes a new random key and writes it to path: mode 0600, synced. A
// path that exists is Conflict.
func CreateKEK(path string) (*KEK, error) {
	key := make([]byte, kekSize)
	defer clear(key)
	rand.Read(key)
	text := base64.StdEncoding.AppendEncode(nil, key)
	text = append(text, '\n')
	defer clear(text)
	k, err := newKEK(key)
	if err != nil {
		return nil, err
	}
	if err := keystore.CreateFile(path, text); err != nil {
		return nil, fmt.Errorf("write key-encryption key: %w", err)
	}
	return k, nil
}

// parseKEK reads base64 of 32 bytes with at most one line end.
func parseKEK(text []byte, source string) (*KEK, error) {
	line := bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	key := make([]byte, base64.StdEncoding.DecodedLen(len(line)))
	defer clear(key)
	n, err := base64.StdEncoding.Strict().Decode(key, line)
	if err != nil || n != kekSize || bytes.ContainsAny(line, "\r\n") {
		return nil, pki.Errorf(pki.Malformed, "%s: a key-encryption key is one line of base64 of %d bytes, as 'openssl rand -base64 %d' makes", source, kekSize, kekSize)
	}
	return newKEK(key[:n])
}

func newKEK(key []byte) (*KEK, error) {
	id, err := hkdf.Key(sha256.New, key, nil, kekIDLabel, 8)
	if err != nil {
		return nil, err
	}
	cursors, err := hkdf.Key(sha256.New, key, nil, cursorLabel, 32)
	if err != nil {
		return nil, err
	}
	macs, err := hkdf.Key(sha256.New, key, nil, macLabel, 32)
	if err != nil {
		return nil, err
	}
	seal, err := hkdf.Key(sha256.New, key, nil, kekSealLabel, 32)
	if err != nil {
		return nil, err
	}
	defer clear(seal)
	block, err := aes.NewCipher(seal)
	if err != nil {
		return nil, err
	}
	// Random nonces of 96 bits are good for 2^32 keys under one KEK (NIST SP
	// 800-38D, 8.3), far beyond the keys of any deployment.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &KEK{id: hex.EncodeToString(id), cursors: [32]byte(cursors), macs: [32]byte(macs), aead: aead}, nil
}

// readSecretFile reads a small file after it has checked, on the open file, that
// nobody but its owner can.
func readSecretFile(path string) ([]byte, error) {
	// O_NONBLOCK: a named pipe is refused below instead of waited for.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, pki.Errorf(pki.NotFound, "key-encryption key %s: there is no such file; restore the copy of it that is kept apart from the data, without which no key in the store can be opened", path)
	}
	if err != nil {
		return nil, pki.Because(kindOfFileError(err), err, "key-encryption key %s: it cannot be opened", path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, pki.Errorf(pki.Forbidden, "key-encryption key %s: it is not a regular file", path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, pki.Errorf(pki.Forbidden, "key-encryption key %s: mode %04o gives group or others access; run 'chmod 600 %s'", path, perm, path)
	}
	return io.ReadAll(io.LimitReader(f, 256))
}

// kindOfFileError returns the kind of an error in opening a file that an
// operator named.
func kindOfFileError(err error) pki.Kind {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return pki.NotFound
	case errors.Is(err, fs.ErrPermission):
		return pki.Forbidden
	default:
		return pki.Unavailable
	}
}
