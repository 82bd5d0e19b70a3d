package cli

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-pki/pando/internal/pandotest"
	"github.com/pando-pki/pando/internal/pki"
)

func TestReadBlocklist(t *testing.T) {
	key := pandotest.Key(t, pki.P256)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki)
	hash, other := hex.EncodeToString(sum[:]), strings.Repeat("ab", sha256.Size)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	public := block("PUBLIC KEY", spki)
	request := block("CERTIFICATE REQUEST", pandotest.CSR(t, key, pkix.Name{SerialNumber: "SM-1"}))
	unended, _, _ := strings.Cut(public, "-----END")

	for name, test := range map[string]struct {
		text    string
		want    []string
		refused string
	}{
		"a hash":                    {text: other, want: []string{other}},
		"hashes and comments":       {text: "# leaked\n" + other + "\r\n\n \t# more\n" + strings.ToUpper(hash) + "\n", want: []string{other, strings.ToUpper(hash)}},
		"a public key":              {text: public, want: []string{hash}},
		"a request":                 {text: request, want: []string{hash}},
		"all of them":               {text: other + "\n" + public + "# and\n" + request + other, want: []string{other, hash, hash, other}},
		"without the last newline":  {text: strings.TrimSpace(public), want: []string{hash}},
		"nothing":                   {text: "# none\n", refused: "names no key"},
		"a short hash":              {text: other + "\nabcd\n", refused: "line 2: "},
		"a colon":                   {text: "ab:" + other, refused: "line 1: "},
		"two hashes in a line":      {text: other + " " + other, refused: "line 1: "},
		"a private key":             {text: "\n" + block("PRIVATE KEY", []byte{0x30, 0}), refused: "begins in line 2: it holds a PRIVATE KEY"},
		"garbage in a public key":   {text: block("PUBLIC KEY", []byte{0x30, 0}), refused: "begins in line 1: "},
		"garbage in a request":      {text: block("CERTIFICATE REQUEST", []byte{0x30, 0}), refused: "begins in line 1: "},
		"garbage in a certificate":  {text: block("CERTIFICATE", []byte{0x30, 0}), refused: "begins in line 1: "},
		"a block without an end":    {text: public + unended, refused: "it is broken"},
		"one that another follows":  {text: unended + "\n" + public, refused: "it is broken"},
		"after one, with its line":  {text: public + "x", refused: "line 5: "},
		"a block that is not PEM's": {text: "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n", refused: "it is broken"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readBlocklist([]byte(test.text))
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("got %v, want an error with %q", err, test.refused)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

func FuzzReadBlocklist(f *testing.F) {
	f.Add([]byte(strings.Repeat("ab", 32) + "\n# x\n"))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		hashes, err := readBlocklist(text)
		if err != nil {
			return
		}
		if len(hashes) == 0 || len(hashes) > bytes.Count(text, []byte("\n"))+1 {
			t.Errorf("%d keys", len(hashes))
		}
		for _, hash := range hashes {
			if b, err := hex.DecodeString(hash); err != nil || len(b) != sha256.Size {
				t.Errorf("%q is no hash", hash)
			}
		}
	})
}
