//go:build system

package acceptance

import (
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// acknowledgements is the file of what clients were told they got, as "pando
// check --acknowledged" reads it.
type acknowledgements struct {
	path string

	mu    sync.Mutex // guards the rest
	file  *os.File
	count int
}

func newAcknowledgements(t *testing.T) *acknowledgements {
	t.Helper()
	path := filepath.Join(t.TempDir(), "acknowledged.ndjson")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &acknowledgements{path: path, file: f}
}

// add notes a certificate.
func (a *acknowledgements) add(issuer, serial string, der []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count++
	_, err := fmt.Fprintf(a.file, `{"issuer":%q,"serial":%q,"sha256":"%x"}`+"\n", issuer, serial, sha256.Sum256(der))
	return err
}

// decode returns the DER of one PEM block of a type.
func decode(text, kind string) ([]byte, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != kind {
		return nil, errors.New("it is not a PEM block of type " + kind)
	}
	return block.Bytes, nil
}
