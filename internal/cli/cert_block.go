package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"github.com/pando-pki/pando/client"
)

// certBlock is "pando cert block", for platform operators.
type certBlock struct {
	File string `arg:"" help:"The keys; - is standard input."`
}

func (certBlock) Help() string {
	return `No certificate is issued any more for a key on the block list, in any tenant. A key cannot be taken off it. Certificates that are there stay as they are: revoke them.

The file has the SHA-256 of a SubjectPublicKeyInfo in hexadecimal on each line, or PEM: public keys, certificate signing requests and certificates, whose keys are meant. Empty lines and those that begin with # do not count. This needs a platform operator's token.

Examples:

    pando cert block weak-keys.txt
    openssl pkey -in leaked.key -pubout | pando cert block -`
}

// maxBlocklist is the size of the largest file of keys to block, in bytes: some
// million hashes.
const maxBlocklist = 64 << 20

// blocked is the result of "pando cert block".
type blocked struct {
	Keys  int `json:"keys"`  // in the file
	Added int `json:"added"` // that were not on the list
}

// Run blocks the keys.
func (k *certBlock) Run(ctx context.Context, c *console, cl *client.Client) error {
	text, err := c.readInput(k.File, maxBlocklist)
	if err != nil {
		return err
	}
	hashes, err := readBlocklist(text)
	if err != nil {
		return fmt.Errorf("%s: %w", k.File, err)
	}
	added, err := cl.BlockKeys(ctx, hashes)
	if err != nil {
		return err
	}
	return c.result(blocked{len(hashes), added}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%d keys, of which %d were not on the block list\n", len(hashes), added)
		return err
	})
}

// readBlocklist returns the hashes of the keys that a file names, in hexadecimal.
func readBlocklist(text []byte) ([]string, error) {
	var hashes []string
	for line := 1; len(text) > 0; {
		first, rest, _ := bytes.Cut(text, []byte("\n"))
		begin := line
		switch first = bytes.TrimSpace(first); {
		case len(first) == 0 || first[0] == '#':
			line++
		case bytes.HasPrefix(first, []byte("-----BEGIN ")):
			var block []byte
			block, rest = cutPEM(text)
			hash, err := keyHash(block)
			if err != nil {
				return nil, fmt.Errorf("the PEM block that begins in line %d: %w", begin, err)
			}
			hashes = append(hashes, hash)
			line += bytes.Count(block, []byte("\n"))
		default:
			if hash, err := hex.DecodeString(string(first)); err != nil || len(hash) != sha256.Size {
				return nil, fmt.Errorf("line %d: it is neither a SHA-256 in 64 hexadecimal digits nor the beginning of a PEM block", begin)
			}
			hashes = append(hashes, string(first))
			line++
		}
		text = rest
	}
	if len(hashes) == 0 {
		return nil, errors.New("it names no key")
	}
	return hashes, nil
}

// cutPEM returns what stands up to the line that ends a PEM block, and the rest:
// pem.Decode would pass over a broken one in silence.
func cutPEM(text []byte) (block, rest []byte) {
	end := bytes.Index(text, []byte("\n-----END "))
	if end < 0 {
		return text, nil
	}
	line := bytes.IndexByte(text[end+1:], '\n')
	if line < 0 {
		return text, nil
	}
	return text[:end+1+line+1], text[end+1+line+1:]
}

// keyHash returns the SHA-256 of the SubjectPublicKeyInfo in a PEM block, in
// hexadecimal.
func keyHash(text []byte) (string, error) {
	block, _ := pem.Decode(text)
	if block == nil || bytes.Count(text, []byte("-----BEGIN ")) > 1 {
		return "", errors.New("it is broken")
	}
	var spki []byte
	switch block.Type {
	case "PUBLIC KEY":
		if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			return "", err
		}
		spki = block.Bytes
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", err
		}
		spki = c.RawSubjectPublicKeyInfo
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		r, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return "", err
		}
		spki = r.RawSubjectPublicKeyInfo
	default:
		return "", fmt.Errorf("it holds a %s, not a public key, a request or a certificate", block.Type)
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:]), nil
}
